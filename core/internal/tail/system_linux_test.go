package tail

import "testing"

// One file whose name is not UTF-8 made a state that no run could read: the name came back as another one, and the sum did not fit.
func TestANameThatIsNotUTF8IsKept(t *testing.T) {
	d := newFolder(t)
	d.add("a\xff.log", "a1")
	d.same(d.once("a\xff.log"), "a1")
	d.add("a\xff.log", "a2")
	d.rename("a\xff.log", "a\xff.log.1")
	d.add("a\xff.log", "b1")
	d.same(d.once("a\xff.log"), "a2", "b1")
	d.same(d.once("a\xff.log"))
}
