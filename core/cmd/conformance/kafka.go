package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaTopic reads the topic behind the nodes, from the end that it had when it was opened.
type kafkaTopic struct {
	client         *kgo.Client
	brokers, topic string
	wait, grace    time.Duration // for what is missing, and then for what is too much
	unreadable     []error
}

// openKafka must be called before anything is sent.
func openKafka(ctx context.Context, seeds []string, topic string, wait time.Duration) (*kafkaTopic, error) {
	brokers := strings.Join(seeds, ",")
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	describe := func(err error) error {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer in time: %w", err)
		}
		return fmt.Errorf("KAFKA %s, TOPIC %s: %w", brokers, topic, err)
	}
	asking, err := kgo.NewClient(kgo.SeedBrokers(seeds...))
	if err != nil {
		return nil, describe(err)
	}
	defer asking.Close()
	ends, err := kadm.NewClient(asking).ListEndOffsets(ctx, topic)
	if err = errors.Join(err, ends.Error()); err != nil {
		return nil, describe(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.ConsumePartitions(ends.KOffsets()))
	if err != nil {
		return nil, describe(err)
	}
	return &kafkaTopic{client: client, brokers: brokers, topic: topic, wait: wait, grace: 3 * time.Second}, nil
}

func (k *kafkaTopic) describe() string {
	return fmt.Sprintf("Kafka topic %s at %s", k.topic, k.brokers)
}
func (k *kafkaTopic) close() { k.client.Close() }

func (k *kafkaTopic) read(ctx context.Context, enough func(map[string][]frame) bool) (map[string][]frame, error) {
	frames := make(map[string][]frame)
	waiting, cancel := context.WithTimeout(ctx, k.wait)
	defer cancel()
	for !enough(frames) && waiting.Err() == nil {
		if err := k.poll(waiting, frames); err != nil {
			return frames, err
		}
	}
	more, cancelMore := context.WithTimeout(ctx, k.grace)
	defer cancelMore()
	for more.Err() == nil {
		if err := k.poll(more, frames); err != nil {
			return frames, err
		}
	}
	return frames, ctx.Err()
}

func (k *kafkaTopic) poll(ctx context.Context, frames map[string][]frame) error {
	fetches := k.client.PollFetches(ctx)
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) {
			return fmt.Errorf("reading partition %d of %s: %w", e.Partition, k.describe(), e.Err)
		}
	}
	fetches.EachRecord(func(r *kgo.Record) {
		decoded, err := framesOf(r.Value)
		if err != nil {
			k.unreadable = append(k.unreadable, fmt.Errorf("partition %d, offset %d: %w", r.Partition, r.Offset, err))
		}
		for i := range decoded {
			decoded[i].addTo(frames)
		}
	})
	return nil
}
