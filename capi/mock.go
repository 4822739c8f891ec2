package main

/*
#include "front/core_abi.h"
*/
import "C"

import (
	"strings"
	"sync"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// mocks holds the fake clusters by handle, a number of the front's that is never used twice.
var mocks = struct {
	sync.Mutex
	all map[uintptr]*dataproxytest.Cluster
}{all: make(map[uintptr]*dataproxytest.Cluster)}

//export coreMockNew
func coreMockNew(mock C.uintptr_t, nodes C.int, err C.inlong_core_text) (code C.int) {
	defer guardAll(&code, err)
	if nodes == 0 {
		nodes = 3
	}
	var cluster *dataproxytest.Cluster
	fault := elsewhere(func() (err error) {
		cluster, err = dataproxytest.NewCluster(dataproxytest.WithNodes(int(nodes)))
		return err
	})
	if fault != nil {
		return fail(err, C.INLONG_ERR_INTERNAL, fault.Error())
	}
	mocks.Lock()
	defer mocks.Unlock()
	mocks.all[uintptr(mock)] = cluster
	return C.INLONG_OK
}

func openMock(mock C.uintptr_t, err C.inlong_core_text) (*dataproxytest.Cluster, C.int) {
	mocks.Lock()
	defer mocks.Unlock()
	if cluster := mocks.all[uintptr(mock)]; cluster != nil {
		return cluster, C.INLONG_OK
	}
	return nil, fail(err, C.INLONG_ERR_HANDLE, "not an open mock: NULL, freed, or never one")
}

//export coreMockURL
func coreMockURL(mock C.uintptr_t, buf *C.char, size C.size_t, err C.inlong_core_text) (code C.int) {
	defer guardAll(&code, err)
	cluster, code := openMock(mock, err)
	if cluster == nil {
		return code
	}
	return copyOut(buf, size, cluster.URL())
}

//export coreMockControl
func coreMockControl(mock C.uintptr_t, request *C.char, requestLen C.size_t, buf *C.char, size C.size_t, err C.inlong_core_text) C.int {
	return control(mock, strings.Clone(text(request, requestLen)), buf, size, err)
}

//export coreMockStats
func coreMockStats(mock C.uintptr_t, buf *C.char, size C.size_t, err C.inlong_core_text) C.int {
	return control(mock, `{"op":"stats"}`, buf, size, err)
}

func control(mock C.uintptr_t, request string, buf *C.char, size C.size_t, err C.inlong_core_text) (code C.int) {
	defer guardAll(&code, err)
	cluster, code := openMock(mock, err)
	if cluster == nil {
		return code
	}
	var answer []byte
	fault := elsewhere(func() (err error) { answer, err = cluster.Control([]byte(request)); return err })
	if fault != nil {
		return fail(err, C.INLONG_ERR_ARG, fault.Error())
	}
	return copyOut(buf, size, string(answer))
}

//export coreMockFree
func coreMockFree(mock C.uintptr_t) (code C.int) {
	defer guardAll(&code, C.inlong_core_text{})
	cluster, code := openMock(mock, C.inlong_core_text{})
	if cluster == nil {
		return code
	}
	mocks.Lock()
	delete(mocks.all, uintptr(mock))
	mocks.Unlock()
	cluster.Close()
	return C.INLONG_OK
}
