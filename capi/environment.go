package main

// #include <stdlib.h>
import "C"

import (
	"os"
	"unsafe"
)

// The runtime keeps a copy of the environment that the process was started with. A host may have set a proxy since, or where its
// certificates are: these are taken as they are when it makes its first client.
var taken = [...]string{
	"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
}

func takeEnvironment() {
	for _, name := range taken {
		key := C.CString(name)
		now, before := C.getenv(key), os.Getenv(name)
		C.free(unsafe.Pointer(key))
		switch {
		case now == nil && before != "":
			_ = os.Unsetenv(name)
		case now != nil && C.GoString(now) != before:
			_ = os.Setenv(name, C.GoString(now)) // in the host's environment, too, where it stands already
		}
	}
}
