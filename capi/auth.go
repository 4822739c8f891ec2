package main

/*
#include "entry.h"
*/
import "C"

import (
	"context"
	"errors"
	"time"
	"unsafe"
)

// hostAuth asks the front for credentials.
type hostAuth struct{ handle C.uintptr_t }

// GetToken occupies a thread until the host has answered, ctx ends or the client is closed.
func (h hostAuth) GetToken(ctx context.Context, groupID string) (key, token string, err error) {
	ms := C.int64_t(-1)
	if end, ok := ctx.Deadline(); ok {
		ms = C.int64_t(max(0, time.Until(end).Milliseconds()))
	}
	group := append([]byte(groupID), 0)
	a := C.inlong_host_auth(h.handle, (*C.char)(unsafe.Pointer(&group[0])), ms)
	if a == nil {
		return "", "", errors.New("auth: no memory")
	}
	defer C.inlong_host_auth_free(a)
	if a.text[0] != 0 {
		return "", "", errors.New(C.GoString(&a.text[0]))
	}
	return C.GoString(&a.name[0]), C.GoString(&a.value[0]), nil
}
