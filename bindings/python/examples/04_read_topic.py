"""Print the messages that a DataProxy has left in a Kafka topic, each once.

    pip install confluent-kafka
    python 04_read_topic.py kafka:9092 my_topic

A batch whose ack was lost is sent again, and is then in the topic twice, under the same "mid": Dedup tells. Ends at the end of each
partition.
"""

import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from inlong_dataproxy import inlongmsg

BATCHES = 1_000_000  # as many as arrive in the send_timeout of the senders, and in a restart of theirs where a spool is used


def main() -> int:
    brokers, topic = sys.argv[1:]
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "read_topic", "enable.partition.eof": True})
    partitions = consumer.list_topics(topic).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    unread = len(partitions)
    doubles = inlongmsg.Dedup(BATCHES)
    messages = repeated = unreadable = 0
    while unread:
        record = consumer.poll(1)
        if record is None:
            continue
        error, value = record.error(), record.value()
        if error and error.code() == KafkaError._PARTITION_EOF:
            unread -= 1
            continue
        if error or value is None:
            raise KafkaException(error)
        try:
            batch = inlongmsg.decode(value)
        except inlongmsg.MalformedError as fault:
            unreadable += 1
            print(f"offset {record.offset()} of partition {record.partition()}: {fault}", file=sys.stderr)
            continue
        if doubles.seen(batch):
            repeated += 1
            continue
        for block in batch.blocks:
            for place, payload in zip(block.places, block.items):
                messages += 1
                print(block.attributes["streamId"], block.attributes.get("mid", "-"), place, payload)
    consumer.close()
    print(f"{messages} messages, {repeated} batches twice, {unreadable} records unreadable")
    return 1 if unreadable else 0


if __name__ == "__main__":
    sys.exit(main())
