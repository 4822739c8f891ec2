package cputime

import "time"

// Total is both together. What must be cheap is measured by it in tests, since on a busy machine all takes long.
func Total() time.Duration {
	user, system := Used()
	return user + system
}
