// Publishes and consumes Tradewind's events with franz-go and the contracts alone.
//
// Usage: kafka <bootstrap servers> order                    an order from elsewhere, and what Tradewind says to it
//
//	kafka <bootstrap servers> keys <topic> <file>      a record for each line of the file, the line its key
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	messagingv1 "example.com/tradewind-client/gen/tradewind/messaging/v1"
	orderv1 "example.com/tradewind-client/gen/tradewind/order/v1"
	stockv1 "example.com/tradewind-client/gen/tradewind/stock/v1"
)

const answeredWithin = 60 * time.Second

func main() {
	log.SetFlags(0)
	ctx, cancel := context.WithTimeout(context.Background(), answeredWithin)
	defer cancel()
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[2] == "order":
		err = placeForeignOrder(ctx, os.Args[1])
	case len(os.Args) == 5 && os.Args[2] == "keys":
		err = produceKeys(ctx, os.Args[1], os.Args[3], os.Args[4])
	default:
		err = errors.New("usage: kafka <bootstrap servers> order | keys <topic> <file>")
	}
	if err != nil {
		log.Fatal(err)
	}
}

// open makes a client. Its partitioner is franz-go's default, spelled out: a key goes where Java's producer puts it (murmur2).
func open(servers string, options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(options,
		kgo.SeedBrokers(strings.Split(servers, ",")...),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.RequiredAcks(kgo.AllISRAcks()),
	)...)
}

// topicOf is what the contract says of an event's topic: its name and the field that is the key.
func topicOf(event proto.Message) *messagingv1.TopicOptions {
	options := event.ProtoReflect().Descriptor().Options()
	return proto.GetExtension(options, messagingv1.E_Topic).(*messagingv1.TopicOptions)
}

// recordOf makes a CloudEvents message in Kafka's binary content mode of an event.
func recordOf(event proto.Message) (*kgo.Record, error) {
	message := event.ProtoReflect()
	topic := topicOf(event)
	key := message.Get(message.Descriptor().Fields().ByName(protoreflect.Name(topic.GetKey()))).String()
	value, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(event)
	if err != nil {
		return nil, err
	}
	header := func(name, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: name, Value: []byte(value)} }
	return &kgo.Record{
		Topic: topic.GetName(),
		Key:   []byte(key),
		Value: value,
		Headers: []kgo.RecordHeader{
			header("ce_specversion", "1.0"),
			// Unique within the source: a record that comes twice is handled once.
			header("ce_id", rand.Text()),
			header("ce_source", "examples/go"),
			header("ce_type", string(message.Descriptor().FullName())),
			header("ce_time", time.Now().UTC().Format(time.RFC3339Nano)),
			header("ce_subject", key),
			header("content-type", "application/json"),
		},
	}, nil
}

// placeForeignOrder tells of an order that the order service never heard of: stock takes the goods, order cancels, the goods go back.
func placeForeignOrder(ctx context.Context, servers string) error {
	price := int64(5000)
	id, err := newUUID()
	if err != nil {
		return err
	}
	record, err := recordOf(&orderv1.OrderCreated{
		OrderId:    id,
		CustomerId: "example-go",
		Lines:      []*orderv1.OrderedLine{{ProductId: 1, Quantity: 2, UnitPrice: &price, TotalPrice: 2 * price}},
		TotalPrice: 2 * price,
		Currency:   "USD",
		Revision:   1,
	})
	if err != nil {
		return err
	}
	reserved, canceled := &stockv1.StockReserved{}, &orderv1.OrderCanceled{}
	client, err := open(servers,
		kgo.ConsumeTopics(topicOf(reserved).GetName(), topicOf(canceled).GetName()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AfterMilli(time.Now().Add(-time.Minute).UnixMilli())),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
		return err
	}
	fmt.Printf("%s: %s, partition %d\n", record.Topic, record.Value, record.Partition)
	if err := await(ctx, client, id, reserved); err != nil {
		return err
	}
	if err := await(ctx, client, id, canceled); err != nil {
		return err
	}
	if canceled.GetReason() != "unknown order" {
		return fmt.Errorf("order %s was cancelled for %q", id, canceled.GetReason())
	}
	return nil
}

// await reads on until an event's topic has one under a key. Of two that are awaited, the first one leads to the second.
func await(ctx context.Context, client *kgo.Client, key string, event proto.Message) error {
	topic := topicOf(event).GetName()
	for {
		fetches := client.PollRecords(ctx, 1)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("waiting for %s of %s: %w", topic, key, err)
		}
		for _, record := range fetches.Records() {
			if record.Topic != topic || string(record.Key) != key {
				continue
			}
			fmt.Printf("%s: %s, partition %d\n", record.Topic, record.Value, record.Partition)
			// Fields may be added to an event at any time.
			return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(record.Value, event)
		}
	}
}

// produceKeys shows where each key goes.
func produceKeys(ctx context.Context, servers, topic, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	client, err := open(servers)
	if err != nil {
		return err
	}
	defer client.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		producer := kgo.RecordHeader{Key: "producer", Value: []byte("go")}
		// A key that is empty is a key; only nil is none.
		record := &kgo.Record{Topic: topic, Key: append([]byte{}, lines.Bytes()...), Headers: []kgo.RecordHeader{producer}}
		client.Produce(ctx, record, func(record *kgo.Record, err error) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("%q: partition %d\n", record.Key, record.Partition)
		})
	}
	return client.Flush(ctx)
}

func newUUID() (string, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", err
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:]), nil
}
