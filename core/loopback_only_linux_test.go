package dataproxy_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

const loopbackOnly = "INLONG_TEST_LOOPBACK_ONLY"

// Scenario N10: the existing SDK ends the process on a machine without an address of its own. The test runs itself again in a
// network namespace, where there is a loopback interface and nothing else.
func TestN10_LoopbackInterfaceOnly(t *testing.T) {
	if os.Getenv(loopbackOnly) != "" {
		raiseLoopback(t)
		c := cluster(t)
		client := connect(t, c, dataproxy.WithAddColumns(map[string]string{"__addcol1__ip": "{{ip}}"}))
		require.NoError(t, client.Send(patient(t), message("x")))
		require.Equal(t, "127.0.0.1", c.Received()[0].Attr["__addcol1__ip"])
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestN10_LoopbackInterfaceOnly$", "-test.v")
	cmd.Env = append(os.Environ(), loopbackOnly+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		t.Skipf("no network namespace here: %v", err)
	}
	require.NoError(t, err, "%s", out)
	if _, why, skipped := strings.Cut(string(out), "no rights in a network namespace"); skipped {
		why, _, _ = strings.Cut(why, "\n")
		t.Skip("no rights in a network namespace" + why)
	}
	require.Contains(t, string(out), "--- PASS: TestN10_LoopbackInterfaceOnly")
}

func raiseLoopback(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	require.NoError(t, err)
	require.NoError(t, unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo))
	lo.SetUint16(lo.Uint16() | unix.IFF_UP)
	err = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
	if errors.Is(err, unix.EPERM) { // Ubuntu gives no rights to who is not root outside
		t.Skipf("no rights in a network namespace here: %v", err)
	}
	require.NoError(t, err)
}
