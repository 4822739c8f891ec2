// Package row makes one payload of a list of fields, for streams whose messages are rows: CSV (values between separators) and KV
// (key and value pairs).
//
// A DataProxy never looks into a message: a row is an agreement between who sends and who reads, and InLong's readers differ.
// What [Format.Append] writes is read back as the same fields by all of them: Sort, the transform SDK, the Manager's preview and
// the common library. What one of them would read otherwise is refused, with the field named.
//
//	format, err := row.New(row.Settings{Type: row.CSV, Separator: '|', Escape: '\\'})
//	payload, err := format.Append(nil, row.Text("a|b"), row.Int(7), row.Null()) // a\|b|7
//
// The settings are those of the stream in the Manager, from which dataproxy.AskStream gets them.
//
// # What a reader gets
//
//   - An empty text and a null are the same to readers of CSV, except at the end of a row: nulls there are left out, and read as null.
//     In KV the key of a null is left out.
//   - A row of CSV whose first field is empty begins with a separator. A Sort job with deleteHeadDelimiter, which is on in some
//     formats, drops it and shifts all columns. See [Settings.RefuseEmptyFirst].
//   - Flink SQL jobs that the Manager makes read CSV without the stream's escape character: an escaped separator splits there all the
//     same. Without an escape character such values are refused, which is what those jobs need.
package row
