package row

// Slowly returns a Format that makes each row field by field, by the rules alone.
func (f *Format) Slowly() *Format {
	slow := *f
	slow.quickly = nil
	return &slow
}
