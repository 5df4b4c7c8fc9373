"""Publishes and consumes Tradewind's events with confluent-kafka and the contracts alone.

Usage: kafka_events.py <bootstrap servers> order                 an order from elsewhere, and what Tradewind says to it
       kafka_events.py <bootstrap servers> keys <topic> <file>   a record for each line of the file, the line its key
"""

import sys
import time
import uuid
from datetime import datetime, timezone
from typing import TypeVar

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from google.protobuf import json_format
from google.protobuf.message import Message as Event
from tradewind.messaging.v1 import topic_pb2
from tradewind.order.v1 import events_pb2 as order_events
from tradewind.stock.v1 import events_pb2 as stock_events

ANSWERED_WITHIN_SECONDS = 60

E = TypeVar("E", bound=Event)


def open_producer(servers: str) -> Producer:
    # Where Java's producer puts a key, and with it all of Tradewind; librdkafka's own default is another.
    return Producer({"bootstrap.servers": servers, "partitioner": "murmur2_random", "enable.idempotence": True})


def topic_of(event: type[Event]) -> topic_pb2.TopicOptions:
    """What the contract says of an event's topic: its name and the field that is the key."""
    return event.DESCRIPTOR.GetOptions().Extensions[topic_pb2.topic]


def publish(producer: Producer, event: Event) -> Message:
    """Publishes an event as a CloudEvents message in Kafka's binary content mode. Returns the record as the log took it."""
    topic = topic_of(type(event))
    key = str(getattr(event, topic.key))
    headers = {
        "ce_specversion": "1.0",
        # Unique within the source: a record that comes twice is handled once.
        "ce_id": str(uuid.uuid4()),
        "ce_source": "examples/python",
        "ce_type": event.DESCRIPTOR.full_name,
        "ce_time": datetime.now(timezone.utc).isoformat(),
        "ce_subject": key,
        "content-type": "application/json",
    }
    value = json_format.MessageToJson(event, preserving_proto_field_name=True, indent=None)
    return produce(producer, topic.name, key, value, headers)


def produce(producer: Producer, topic: str, key: str, value: str | None, headers: dict[str, str]) -> Message:
    taken: list[Message] = []

    def on_delivery(error: object, message: Message) -> None:
        if error is not None:
            raise KafkaException(error)
        taken.append(message)

    producer.produce(topic, key=key.encode(), value=value, headers=headers, on_delivery=on_delivery)
    if producer.flush(ANSWERED_WITHIN_SECONDS) > 0:
        raise TimeoutError(f"{topic} did not take the record")
    return taken[0]


def read_since(servers: str, topics: list[str], since_ms: int) -> Consumer:
    """A consumer of its own, in no group, of all that was appended since."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "examples-python", "enable.auto.commit": False})
    wanted = [
        TopicPartition(name, partition, since_ms)
        for name in topics
        for partition in consumer.list_topics(name, timeout=10).topics[name].partitions
    ]
    consumer.assign(consumer.offsets_for_times(wanted, timeout=10))
    return consumer


def await_event(consumer: Consumer, key: str, event: type[E]) -> E:
    """Reads on until an event's topic has one under a key. Of two that are awaited, the first one leads to the second."""
    name = topic_of(event).name
    deadline = time.monotonic() + ANSWERED_WITHIN_SECONDS
    while time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is None:
            continue
        if message.error() is not None:
            raise KafkaException(message.error())
        if message.topic() == name and message.key() == key.encode():
            print(f"{name}: {message.value().decode()}, partition {message.partition()}")
            # Fields may be added to an event at any time.
            return json_format.Parse(message.value(), event(), ignore_unknown_fields=True)
    raise TimeoutError(f"no {name} of {key}")


def place_foreign_order(servers: str) -> None:
    """Tells of an order that the order service never heard of: stock takes the goods, order cancels, the goods go back."""
    answers = [topic_of(stock_events.StockReserved).name, topic_of(order_events.OrderCanceled).name]
    consumer = read_since(servers, answers, int((time.time() - 60) * 1000))
    order = order_events.OrderCreated(
        order_id=str(uuid.uuid4()),
        customer_id="example-python",
        lines=[order_events.OrderedLine(product_id=1, quantity=2, unit_price=5000, total_price=10000)],
        total_price=10000,
        currency="USD",
        revision=1,
    )
    record = publish(open_producer(servers), order)
    print(f"{record.topic()}: {record.value().decode()}, partition {record.partition()}")
    await_event(consumer, order.order_id, stock_events.StockReserved)
    canceled = await_event(consumer, order.order_id, order_events.OrderCanceled)
    consumer.close()
    if canceled.reason != "unknown order":
        raise RuntimeError(f"order {order.order_id} was cancelled for {canceled.reason!r}")


def produce_keys(servers: str, topic: str, path: str) -> None:
    """Shows where each key goes."""
    producer = open_producer(servers)
    with open(path, encoding="utf-8", newline="\n") as lines:
        for line in lines:
            record = produce(producer, topic, line.removesuffix("\n"), None, {"producer": "python"})
            print(f"{record.key().decode()!r}: partition {record.partition()}")


def main() -> None:
    match sys.argv[1:]:
        case [servers, "order"]:
            place_foreign_order(servers)
        case [servers, "keys", topic, path]:
            produce_keys(servers, topic, path)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
