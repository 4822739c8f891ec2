package row_test

import (
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/row"
)

// decode makes a character of each pair of GBK, whichever: what matters is that its second byte is no character of its own.
func decode(encoding row.Encoding, text []byte) string {
	if encoding == row.UTF8 {
		return strings.ToValidUTF8(string(text), "\ufffd")
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] < utf8.RuneSelf {
			b.WriteByte(text[i])
			continue
		}
		b.WriteRune(0x10000 + rune(text[i])<<8 + rune(text[i+1]))
		i++
	}
	return b.String()
}

// randomSettings are any that New takes, of few characters, so that values often hold them.
func randomSettings(r *rand.Rand) row.Settings {
	alphabet := []rune("|&=\\,;\t1né日\r")
	if r.IntN(3) == 0 {
		alphabet = []rune("|&=\\,;\t1n\r")
	}
	r.Shuffle(len(alphabet), func(i, j int) { alphabet[i], alphabet[j] = alphabet[j], alphabet[i] })
	s := row.Settings{Type: row.CSV, Separator: alphabet[0], Escape: alphabet[1]}
	if r.IntN(2) == 0 {
		s.Type, s.KVSeparator = row.KV, alphabet[2]
	}
	if r.IntN(4) == 0 {
		s.Escape = 0
	}
	if r.IntN(3) == 0 {
		s.LineSeparator = alphabet[3]
	}
	if r.IntN(8) == 0 {
		s.LineSeparator = '\n'
	}
	if max(s.Separator, s.KVSeparator, s.LineSeparator, s.Escape) < utf8.RuneSelf && r.IntN(2) == 0 {
		s.Encoding = row.GBK
	}
	return s
}

// randomText is a text of that encoding in which what has a meaning is frequent, or now and then any bytes.
func randomText(r *rand.Rand, s *row.Settings, anyBytes bool) []byte {
	var text []byte
	for range r.IntN(6) {
		switch k := r.IntN(10); {
		case anyBytes && k == 0:
			text = append(text, byte(r.IntN(256)))
		case k < 5:
			marks := []rune{s.Separator, s.KVSeparator, s.LineSeparator, s.Escape, '\n'}
			text = append(text, string(marks[r.IntN(len(marks))])...)
		case k < 6 && s.Encoding == row.GBK:
			second := []byte{0x5c, 0x7c, 0x3d + 3, 0x80, 0xfe}
			text = append(text, byte(0x81+r.IntN(0xfe-0x81)), second[r.IntN(len(second))])
		case k < 6:
			text = append(text, "é日😀"[:2]...)
		default:
			text = append(text, "ab\r\x00\"n0"[r.IntN(7)])
		}
	}
	return text
}

// roundTrip makes a row of random fields. What is refused must have a reason, what is not is read back by all.
func roundTrip(t *testing.T, r *rand.Rand, anyBytes bool) (refused bool) {
	s := randomSettings(r)
	format, err := row.New(s)
	require.NoError(t, err, "%+v", s)
	s = format.Settings()
	var fields []row.Field
	var want []string
	for i := range 1 + r.IntN(5) {
		value := randomText(r, &s, anyBytes)
		field := row.Bytes(value)
		if s.Type == row.KV {
			key := append([]byte{byte('a' + i)}, randomText(r, &s, false)...)
			if s.Encoding == row.GBK {
				key = key[:1]
			}
			field = field.Named(string(key))
			want = append(want, string(key))
		}
		fields, want = append(fields, field), append(want, string(value))
	}
	payload, err := format.Append(nil, fields...)
	if err != nil {
		all := strings.Join(want, "")
		cause := all == "" || anyBytes
		for _, char := range []rune{s.Separator, s.KVSeparator, s.LineSeparator, '\n'} {
			ends := char == '\n' || char == s.LineSeparator
			cause = cause || char != 0 && strings.ContainsRune(all, char) && (s.Escape == 0 || s.Type == row.KV && ends)
		}
		require.True(t, cause, "refused without reason: %v: %q by %+v", err, want, s)
		return true
	}
	requireAllRead(t, format, payload, want)
	return false
}

// One list of fields among a million that a reader takes for another one is a wrong number in somebody's report.
func TestEveryReaderReadsBackWhatWasWritten(t *testing.T) {
	rounds := 50_000
	if text := os.Getenv("INLONG_TEST_ROWS"); text != "" {
		var err error
		rounds, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range rounds {
		if roundTrip(t, r, false) {
			refused++
		}
	}
	require.Less(t, refused, rounds/2, "most rows can be written")
}

// The quick way joins a row and looks at it as a whole: what it overlooks is a row that readers split elsewhere, and that nobody refused.
func TestQuickRowsAreThoseOfTheRules(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 100_000 {
		s := randomSettings(r)
		s.RefuseEmptyFirst = s.Type == row.CSV && r.IntN(8) == 0
		s.ControlEscapes = s.Type == row.CSV && s.Escape != 0 && !strings.ContainsAny(string([]rune{s.Separator, s.Escape, s.LineSeparator}), "\rnr0") && r.IntN(4) == 0
		for i := range r.IntN(4) {
			s.Columns = append(s.Columns, string(rune('A'+i)))
		}
		format, err := row.New(s)
		require.NoError(t, err)
		var fields []row.Field
		named := r.IntN(2) == 0
		for i := range r.IntN(5) {
			v := randomValue(r, &s)
			if r.IntN(2) == 0 { // else hardly any has nothing to escape
				v.field = row.Text([]string{"", "plain", "eight888", "sixteen of bytes", "seventeen of them", "日本", "\xff"}[r.IntN(7)])
			}
			if named {
				v.field = v.field.Named(string(rune('A' + i)))
			}
			if named && r.IntN(8) == 0 {
				v.field = v.field.Named(string(randomText(r, &s, true)))
			}
			fields = append(fields, v.field)
		}
		want, fault := format.Slowly().Append([]byte("before"), fields...)
		for _, room := range []int{6, len(want), len(want) + 1, 1024} { // some of them just enough
			got, err := format.Append(append(make([]byte, 0, room), "before"...), fields...)
			require.Equal(t, fault, err, "%q by %+v", want, s)
			require.Equal(t, string(want), string(got), "%+v", s)
		}
	}
}

// Bytes that are no text in the stream's encoding reach a reader as question marks.
func TestWhatIsNoTextInTheEncodingIsRefused(t *testing.T) {
	for _, test := range []struct {
		encoding row.Encoding
		field    row.Field
		fault    string
	}{
		{row.UTF8, row.Text("a\xff"), "not valid UTF-8"},
		{row.UTF8, row.Bytes([]byte("é\xc3")), "not valid UTF-8"},
		{row.UTF8, row.Bytes([]byte("\xed\xa0\x80")), "not valid UTF-8"},
		{row.GBK, row.Bytes([]byte("a\x80b")), "not valid GBK"},
		{row.GBK, row.Bytes([]byte("\x81")), "not valid GBK"},
		{row.GBK, row.Bytes([]byte("\x81\x30")), "not valid GBK"},
		{row.GBK, row.Text("é"), "give it as Bytes"},
	} {
		format, err := row.New(row.Settings{Type: row.CSV, Escape: '\\', Encoding: test.encoding})
		require.NoError(t, err)
		_, err = format.Append(nil, test.field)
		require.ErrorContains(t, err, test.fault)
	}
	format, err := row.New(row.Settings{Type: row.CSV, Escape: '\\', Encoding: row.GBK})
	require.NoError(t, err)
	got, err := format.Append(nil, row.Bytes([]byte("\xb0|")), row.Bytes([]byte("\xb0\\|")))
	require.NoError(t, err)
	require.Equal(t, "\xb0||\xb0\\\\|", string(got), "the second byte of a character is neither a separator nor an escape character")
}

// Numbers and times in another form are null after a reader that does not know it.
func TestNumbersAndTimesAreWrittenAsJavaReadsThem(t *testing.T) {
	zone := time.FixedZone("", 8*3600)
	for want, field := range map[string]row.Field{
		"-9223372036854775808": row.Int(math.MinInt64),
		"18446744073709551615": row.Uint(math.MaxUint64),
		"0.1":                  row.Float(0.1),
		"0.25":                 row.Float32(0.25),
		"16777216":             row.Float32(16777216),
		"NaN":                  row.Float(math.NaN()),
		"Infinity":             row.Float(math.Inf(1)),
		"-Infinity":            row.Float(math.Inf(-1)),
		"5e-324":               row.Float(math.SmallestNonzeroFloat64),
		"2026-01-02 03:04:05":  row.Time(time.Date(2026, 1, 2, 3, 4, 5, 999, zone)),
		"0001-01-01 00:00:00":  row.Time(time.Time{}),
		"9999-12-31 23:59:59":  row.Time(time.Date(9999, 12, 31, 23, 59, 59, 0, zone)),
	} {
		format, err := row.New(row.Settings{Type: row.CSV})
		require.NoError(t, err)
		got, err := format.Append(nil, field)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		for _, separator := range want { // and in a stream whose separator is one of its characters
			format, err := row.New(row.Settings{Type: row.CSV, Separator: separator, Escape: '\\'})
			require.NoError(t, err)
			got, err := format.Append(nil, field, row.Text("x"))
			require.NoError(t, err)
			requireAllRead(t, format, got, []string{want, "x"})
		}
	}
	format, err := row.New(row.Settings{Type: row.CSV})
	require.NoError(t, err)
	for _, year := range []int{-1, 10000, 1 << 40} {
		_, err = format.Append(nil, row.Time(time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)))
		require.ErrorContains(t, err, "0 to 9999")
	}
}

// Settings that contradict each other make rows that nobody reads back.
func TestSettingsAreChecked(t *testing.T) {
	for fault, s := range map[string]row.Settings{
		"type 0: must be CSV or KV":                        {},
		`escape character '|': is used for something else`: {Type: row.CSV, Escape: '|'},
		`escape character '=': is used for something else`: {Type: row.KV, Escape: '='},
		"separator: must not be LF":                        {Type: row.CSV, Separator: '\n'},
		"separator U+1F600: must be a character":           {Type: row.CSV, Separator: '😀'},
		"separator U+D800: must be a character":            {Type: row.CSV, Separator: 0xd800},
		"must be ASCII with GBK":                           {Type: row.CSV, Separator: 'é', Encoding: row.GBK},
		"encoding 7: must be":                              {Type: row.CSV, Encoding: 7},
		"CSV has none":                                     {Type: row.CSV, KVSeparator: '='},
		"column 2: has no name":                            {Type: row.CSV, Columns: []string{"a", ""}},
		`column 2 ("a"): there is another one`:             {Type: row.CSV, Columns: []string{"a", "a"}},
		`column 1 ("a=b"): holds the kv separator`:         {Type: row.KV, Columns: []string{"a=b"}},
		"control escapes need CSV and an escape":           {Type: row.CSV, ControlEscapes: true},
		"refuse empty first: only rows of CSV":             {Type: row.KV, RefuseEmptyFirst: true},
		`separator '\r': must not be CR, n, r or 0`:        {Type: row.CSV, Separator: '\r', Escape: '\\', ControlEscapes: true},
		`separator 'n': must not be CR, n, r or 0`:         {Type: row.CSV, Separator: 'n', Escape: '\\', ControlEscapes: true},
		`escape character '0': must not be CR, n, r or 0`:  {Type: row.CSV, Escape: '0', ControlEscapes: true},
		`line separator 'r': must not be CR, n, r or 0`:    {Type: row.CSV, LineSeparator: 'r', Escape: '\\', ControlEscapes: true},
	} {
		_, err := row.New(s)
		require.ErrorContains(t, err, fault)
	}
	_, err := row.New(row.Settings{Separator: '\n', Encoding: 9})
	require.ErrorContains(t, err, "type 0")
	require.ErrorContains(t, err, "LF")
	require.ErrorContains(t, err, "encoding 9")
}

// A row that costs garbage costs more than its send.
func TestRowsAllocateNothing(t *testing.T) {
	csv, err := row.New(row.Settings{Type: row.CSV, Escape: '\\'})
	require.NoError(t, err)
	kv, err := row.New(row.Settings{Type: row.KV, Escape: '\\', Separator: '&', Columns: []string{"a", "b", "c", "d", "e", "f"}})
	require.NoError(t, err)
	odd, err := row.New(row.Settings{Type: row.CSV, Separator: '1', Escape: '\\'})
	require.NoError(t, err)
	buffer, data, now := make([]byte, 0, 1024), []byte("by|tes"), time.Now()
	for _, format := range []*row.Format{csv, kv, odd} {
		require.Zero(t, testing.AllocsPerRun(100, func() {
			var err error
			if buffer, err = format.Append(buffer[:0], row.Text("a|b=&\\"), row.Bytes(data), row.Int(-11), row.Float(1.5), row.Bool(true), row.Time(now)); err != nil {
				panic(err)
			}
		}))
	}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		var err error
		if buffer, err = kv.Append(buffer[:0], row.Int(1).Named("f"), row.Text("x").Named("a")); err != nil {
			panic(err)
		}
	}))
}

func FuzzRow(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) { roundTrip(t, rand.New(rand.NewPCG(a, b)), true) })
}

// Parse is given whatever somebody has sent: what it reads, each reader reads.
func FuzzParse(f *testing.F) {
	f.Add([]byte("a|b\\|c"), false, byte('|'), byte('\\'))
	f.Add([]byte("a=b&c=d"), true, byte('&'), byte('\\'))
	f.Fuzz(func(t *testing.T, payload []byte, kv bool, separator, escape byte) {
		s := row.Settings{Type: row.CSV, Separator: rune(separator), Escape: rune(escape)}
		if kv {
			s.Type = row.KV
		}
		format, err := row.New(s)
		if err != nil {
			return
		}
		pairs, err := format.Parse(payload)
		if err != nil {
			return
		}
		var want []string
		for _, p := range pairs {
			if kv {
				want = append(want, p.Key)
			}
			want = append(want, string(p.Value))
		}
		requireAllRead(t, format, payload, want)
	})
}
