package nearest

import "testing"

func TestUnknownNamesWhatIsUnknown(t *testing.T) {
	for text, want := range map[string]string{
		"blu":    `color "blu": unknown; did you mean "blue"?`,
		"BLUE":   `color "BLUE": unknown; did you mean "blue"?`,
		"purple": `color "purple": unknown`,
		"bleu":   `color "bleu": unknown; did you mean "blue"?`,
		"rde":    `color "rde": unknown; did you mean "red"?`,
		"":       `color "": unknown`,
	} {
		if got := Unknown("color", text, []string{"red", "blue"}); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
