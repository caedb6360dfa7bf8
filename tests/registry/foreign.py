"""Reads or writes a topic as any program with Confluent's client does: BROKERS REGISTRY TOPIC avro|protobuf read|write."""

import json
import sys
import time
from datetime import datetime, timezone
from decimal import Decimal

from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

brokers, registry, topic, kind, way = sys.argv[1:]
registry = SchemaRegistryClient({"url": registry})
context = SerializationContext(topic, MessageField.VALUE)

# An older version than the bus has: a smaller number, no note, and a field that nobody reads any more.
AVRO = """{"type": "record", "name": "Event", "namespace": "com.mycompany", "fields": [
    {"name": "user_id", "type": "int"},
    {"name": "source", "type": "string"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["Robot", "Human"]}},
    {"name": "raw", "type": "bytes"},
    {"name": "counts", "type": {"type": "map", "values": "long"}}]}"""
EVENTS = [
    {
        "user_id": number,
        "source": "python",
        "at": datetime(2024, 1, 1, 0, 0, number, 5000, timezone.utc),
        "amount": Decimal("-12.50"),
        "kind": "Robot",
        "raw": b"\x00\xff",
        "counts": {"ü": number},
    }
    for number in (1, 2)
]


def readings():
    """The second message of a file, as its generated code would have it."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="reading.proto", package="com.mycompany", syntax="proto3")
    file.message_type.add(name="Room").field.add(name="name", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    reading = file.message_type.add(name="Reading")
    reading.field.add(name="room", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    reading.field.add(name="degrees", number=2, type=field.TYPE_SINT64, label=field.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("com.mycompany.Reading"))


def plain(value):
    """What JSON has no type for."""
    return {datetime: datetime.isoformat, Decimal: str, bytes: bytes.hex}[type(value)](value)


def codec():
    if kind == "avro":
        return AvroSerializer(registry, AVRO), AvroDeserializer(registry), EVENTS
    reading = readings()
    values = [reading(room="Küche", degrees=[-number, 21]) for number in (1, 2)]
    new = {"use.deprecated.format": False}
    serializer = ProtobufSerializer(reading, registry, new)
    # Without the registry, which it would ask for a form of the schema that only Confluent's own has (`?format=serialized`).
    deserializer = ProtobufDeserializer(reading, new)
    return serializer, lambda data, context: json_format.MessageToDict(deserializer(data, context)), values


serialize, deserialize, values = codec()
if way == "write":
    producer = Producer({"bootstrap.servers": brokers})
    for value in values:
        producer.produce(topic, key="python", value=serialize(value, context))
    sys.exit(producer.flush(60))

consumer = Consumer({"bootstrap.servers": brokers, "group.id": topic, "auto.offset.reset": "earliest"})
consumer.subscribe([topic])
deadline = time.monotonic() + 60
seen = 0
while seen < 2:
    if time.monotonic() > deadline:
        sys.exit("waited too long for messages")
    message = consumer.poll(1)
    if message is None:
        continue
    if message.error():
        sys.exit(str(message.error()))
    print(json.dumps(deserialize(message.value(), context), default=plain))
    seen += 1
consumer.close()
