package main

/*
#include "entry.h"
*/
import "C"

import (
	"sync"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// mocks holds the fake clusters by handle, a number of the front's that is never used twice.
var mocks = struct {
	sync.Mutex
	all map[uintptr]*dataproxytest.Cluster
}{all: make(map[uintptr]*dataproxytest.Cluster)}

func newMock(q *call) C.int {
	nodes := 3
	if q.count > 0 {
		nodes = int(q.count)
	}
	cluster, fault := dataproxytest.NewCluster(dataproxytest.WithNodes(nodes))
	if fault != nil {
		return fail(q, C.INLONG_ERR_INTERNAL, fault.Error())
	}
	mocks.Lock()
	defer mocks.Unlock()
	mocks.all[uintptr(q.handle)] = cluster
	return C.INLONG_OK
}

func askMock(q *call) C.int {
	if q.kind == C.INLONG_CALL_MOCK_NEW {
		return newMock(q)
	}
	mocks.Lock()
	cluster := mocks.all[uintptr(q.handle)]
	if q.kind == C.INLONG_CALL_MOCK_FREE {
		delete(mocks.all, uintptr(q.handle))
	}
	mocks.Unlock()
	switch {
	case cluster == nil:
		return fail(q, C.INLONG_ERR_HANDLE, "not an open mock: NULL, freed, or never one")
	case q.kind == C.INLONG_CALL_MOCK_FREE:
		cluster.Close()
		return C.INLONG_OK
	case q.kind == C.INLONG_CALL_MOCK_URL:
		return copyOut(q, cluster.URL())
	}
	answer, fault := cluster.Control([]byte(text((*C.char)(q.data), q.size)))
	if fault != nil {
		return fail(q, C.INLONG_ERR_ARG, fault.Error())
	}
	return copyOut(q, string(answer))
}
