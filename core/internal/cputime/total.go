package cputime

import "time"

// Total is the sum of both. Tests measure costs by it, because elapsed times mean little on a busy machine.
func Total() time.Duration {
	user, system := Used()
	return user + system
}
