package dataproxytest

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// A request that the server hands over while the cluster closes was counted after the beginning of the wait: a data race, and a request that
// outlived Close.
func TestRequestsBesideCloseAreRefused(t *testing.T) {
	c := Start(t)
	c.Close()
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("a closed Manager serves")
		}
		if n := c.Manager().Calls(); n != 0 {
			t.Errorf("a closed Manager counts %d requests", n)
		}
	}()
	c.manager.serve(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, byGroup+"/g", nil))
}
