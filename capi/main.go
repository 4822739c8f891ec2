// Package main is the Go side of the C interface, built with -buildmode=c-shared into libinlong_dataproxy_core.so. It holds
// no logic: it turns C's memory into the core's types and back. Only capi/front calls it, by the calls of core_abi.h.
//
// Rules: no Go pointer is kept in C, no C pointer is kept in Go after a call; user data is a uintptr throughout; what
// answers a call recovers from panics (call.go).
package main

// #cgo CFLAGS: -O2 -Wall -Wextra
import "C"

func main() {}
