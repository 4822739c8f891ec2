package dataproxytest

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// bentNode stands between a test and a node: what the node does with a request goes through bend. It returns where to
// find it.
func bentNode(t *testing.T, node *Node, bend func(answer []byte, open bool) ([]byte, bool)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(patience))
		var request []byte
		buf := make([]byte, 4096)
		for !bytes.HasSuffix(request, endMark) {
			n, err := nc.Read(buf)
			if err != nil {
				return
			}
			request = append(request, buf[:n]...)
		}
		got, open := exchange(t, node.Addr(), request[:len(request)-len(endMark)])
		if got, open = bend(got, open); open {
			got = append(got, endAnswer...)
		}
		_, _ = nc.Write(got)
		if open {
			_, _ = nc.Read(buf) // until the test has read it and is gone
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

// freeBytes returns which bytes of captured answers may differ: the address, and the receive times right after it.
func freeBytes(answers []byte) map[int]bool {
	free := make(map[int]bool)
	for at := 0; at < len(answers); {
		frame := answers[at : at+4+int(answers[at+2])<<8+int(answers[at+3])]
		i := bytes.Index(frame, []byte("dpIp=")) + len("dpIp=")
		for ; i >= len("dpIp=") && i < len(frame) && strings.IndexByte("0123456789.", frame[i]) >= 0; i++ {
			free[at+i] = true
		}
		for _, key := range []string{"&rt=", "&rtms="} {
			if i >= len("dpIp=") && bytes.HasPrefix(frame[i:], []byte(key)) {
				i += len(key)
				for end := i + 13; i < end; i++ {
					free[at+i] = true
				}
			}
		}
		at += len(frame)
	}
	return free
}

// Pins: a check of the fake that passes whatever the fake does. Each vector is asked of a fake that was bent: in one byte of
// its answer, in answering, or in closing.
func TestBentNodeIsNoticed(t *testing.T) {
	nodeOf := captured(t)
	noticed := func(v vector, how string, bend func(answer []byte, open bool) ([]byte, bool)) {
		t.Helper()
		if v.differences(t, bentNode(t, nodeOf(v), bend)) == nil {
			t.Errorf("%s: %s is not noticed", v.Name, how)
		}
	}
	bent := 0
	for _, v := range loadVectors(t, "dataproxy.json", "vectors") {
		same := func(answer []byte, open bool) ([]byte, bool) { return answer, open }
		if err := v.differences(t, bentNode(t, nodeOf(v), same)); err != nil {
			t.Fatalf("%s, not bent: %v", v.Name, err)
		}
		if v.ConnectionAfter == "closed" {
			noticed(v, "a connection that lives on", func(answer []byte, _ bool) ([]byte, bool) {
				return append(answer, endMark[:endAnswerHead]...), true
			})
			continue
		}
		noticed(v, "a connection that closes", func(answer []byte, _ bool) ([]byte, bool) { return answer, false })
		if v.Answer == nil {
			noticed(v, "an answer", func(answer []byte, open bool) ([]byte, bool) {
				return append([]byte("\x00\x00\x00\x01\x01"), answer...), open
			})
			continue
		}
		noticed(v, "silence", func(answer []byte, open bool) ([]byte, bool) {
			return answer[len(answer)-endAnswerHead:], open
		})
		want := unhex(t, *v.Answer)
		free := freeBytes(want)
		for i := 0; i < len(want); i += 1 + i/8 { // the head byte by byte, then some
			if free[i] {
				continue
			}
			bent++
			noticed(v, "another byte", func(answer []byte, open bool) ([]byte, bool) {
				answer[i] ^= 1
				return answer, open
			})
		}
	}
	if bent < 500 {
		t.Errorf("only %d bytes were bent", bent)
	}
}

// Pins: a comparison that masks too much would pass anything. Every byte of a captured answer that is not a receive
// time or the address must be noticed when it changes.
func TestComparisonNoticesEveryOtherByte(t *testing.T) {
	for _, v := range loadVectors(t, "dataproxy.json", "vectors") {
		if v.Answer == nil {
			continue
		}
		answer := unhex(t, *v.Answer)
		want, err := masked(answer)
		if err != nil {
			t.Fatal(err)
		}
		free := freeBytes(answer)
		for i := range answer {
			answer[i] ^= 1
			if got, err := masked(answer); err == nil && got == want && !free[i] {
				t.Errorf("%s: byte %d of %d may change unnoticed", v.Name, i, len(answer))
			}
			answer[i] ^= 1
		}
	}
}
