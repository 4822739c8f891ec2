package row_test

import (
	"fmt"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/row"
)

func Example() {
	format, err := row.New(row.Settings{Type: row.CSV, Separator: '|', Escape: '\\', Columns: []string{"name", "price", "note"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	buffer := make([]byte, 0, 1024) // used again for each row
	buffer, err = format.Append(buffer[:0], row.Text("nuts|bolts"), row.Float(2.5), row.Null())
	fmt.Println(string(buffer), err)
	buffer, err = format.Append(buffer[:0], row.Text("x").Named("note"), row.Text("wood").Named("name"))
	fmt.Println(string(buffer), err)
	_, err = format.Append(buffer[:0], row.Text("wood"))
	fmt.Println(err)
	// Output:
	// nuts\|bolts|2.5 <nil>
	// wood||x <nil>
	// the row has 1 fields and the stream 3 columns
}

func ExampleSettings_kv() {
	format, err := row.New(row.Settings{Type: row.KV, Separator: '&', Escape: '\\'})
	if err != nil {
		fmt.Println(err)
		return
	}
	payload, err := format.Append(nil, row.Text("a=b").Named("query"), row.Int(200).Named("status"), row.Null().Named("user"))
	fmt.Println(string(payload), err)
	// Output: query=a\=b&status=200 <nil>
}
