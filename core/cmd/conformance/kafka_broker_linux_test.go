package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const brokerStarts = 2 * time.Minute // at the longest, on a busy machine

// startKafka starts one broker with KRaft in a process of its own, which ends with the test. It skips the test where there is
// no Java or no Maven.
func startKafka(t *testing.T) (brokers string) {
	t.Helper()
	if testing.Short() {
		t.Skip("a Kafka broker takes half a minute")
	}
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no Kafka without a JDK and Maven: %v", err)
		}
	}
	classpath, folder := kafkaClasspath(t), t.TempDir()
	port, controller := freePort(t), freePort(t)
	config := filepath.Join(folder, "server.properties")
	text := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=%[3]s
offsets.topic.replication.factor=1
`, port, controller, filepath.Join(folder, "data"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	java := func(args ...string) *exec.Cmd {
		return exec.Command("java", append([]string{"-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
			"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classpath}, args...)...)
	}
	format := java("kafka.tools.StorageTool", "format", "-t", "AAAAAAAAQACAAAAAAAAAAQ", "-c", config)
	if out, err := format.CombinedOutput(); err != nil {
		t.Fatalf("formatting Kafka's folder: %v\n%s", err, out)
	}
	var log bytes.Buffer
	broker := java("kafka.Kafka", config)
	broker.Stdout, broker.Stderr = &log, &log
	broker.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when the test is killed
	if err := broker.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- broker.Wait() }()
	t.Cleanup(func() {
		_ = broker.Process.Kill()
		<-ended
	})
	brokers = fmt.Sprintf("127.0.0.1:%d", port)
	for deadline := time.Now().Add(brokerStarts); ; {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("Kafka ended: %v\n%s", err, log.String())
		case <-time.After(100 * time.Millisecond):
		}
		if err := ping(brokers); err == nil {
			return brokers
		} else if time.Now().After(deadline) {
			t.Fatalf("Kafka did not start: %v", err)
		}
	}
}

func ping(brokers string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return client.Ping(ctx)
}

// kafkaClasspath asks Maven for Kafka and all that it needs, once: the answer is kept below build/.
func kafkaClasspath(t *testing.T) string {
	t.Helper()
	pom, err := filepath.Abs("testdata/kafka/pom.xml")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := filepath.Abs(filepath.Join(root, "build/kafka/classpath"))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(kept); err == nil && stillThere(string(text)) && newer(kept, pom) {
		return string(text)
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("mvn", "--batch-mode", "--quiet", "--file", pom, "dependency:build-classpath", "-Dmdep.outputFile="+kept).CombinedOutput()
	text, readErr := os.ReadFile(kept)
	if err := errors.Join(err, readErr); err != nil {
		t.Fatalf("Maven cannot get Kafka: %v\n%s", err, out)
	}
	return string(text)
}

func stillThere(classpath string) bool {
	for path := range strings.SplitSeq(classpath, ":") {
		if _, err := os.Stat(path); err != nil {
			return false
		}
	}
	return true
}

func newer(path, than string) bool {
	a, err := os.Stat(path)
	b, err2 := os.Stat(than)
	return err == nil && err2 == nil && a.ModTime().After(b.ModTime())
}

// freePort returns a port below those that the kernel gives away by itself: it must stay free until Kafka takes it.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20000 + rand.IntN(10000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port from 20000 to 29999")
	return 0
}

// newTopic makes a topic and returns what writes to it.
func newTopic(t *testing.T, brokers, topic string, partitions int32) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	answer, err := admin.CreateTopic(t.Context(), partitions, 1, nil, topic)
	if err := errors.Join(err, answer.Err); err != nil {
		t.Fatal(err)
	}
	// A broker answers before it hosts what it has created.
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		ends, err := admin.ListEndOffsets(t.Context(), topic)
		if err = errors.Join(err, ends.Error()); err == nil && len(ends[topic]) == int(partitions) {
			return client
		}
		if time.Now().After(end) {
			t.Fatalf("topic %s: %v", topic, err)
		}
	}
}
