// Places an order with a gRPC client that was generated from the contracts.
//
// Usage: go run . [host:port]
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	orderv1 "example.com/tradewind-client/gen/tradewind/order/v1"
)

const (
	callTimeout   = 5 * time.Second
	settledWithin = 30 * time.Second
)

func main() {
	log.SetFlags(0)
	address := "127.0.0.1:3000"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	if err := run(address); err != nil {
		log.Fatal(err)
	}
}

func run(address string) error {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	orders := orderv1.NewOrderServiceClient(connection)
	order, err := placeOrder(orders)
	if err != nil {
		return err
	}
	fmt.Println(protojson.MarshalOptions{Multiline: true, UseProtoNames: true}.Format(order))
	return placeWrongOrder(orders)
}

// placeOrder places an order and waits until it is confirmed or cancelled.
func placeOrder(orders orderv1.OrderServiceClient) (*orderv1.Order, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	// With a key, a repeat after a lost answer gives the first answer again.
	ctx = metadata.AppendToOutgoingContext(ctx, "idempotency-key", rand.Text())
	price := int64(5000)
	created, err := orders.CreateOrder(ctx, &orderv1.CreateOrderRequest{
		CustomerId: "example-go",
		Lines:      []*orderv1.NewOrderLine{{ProductId: 1, Quantity: 2, UnitPrice: &price}},
	})
	if err != nil {
		return nil, err
	}
	return awaitSettled(orders, created.GetOrder())
}

func awaitSettled(orders orderv1.OrderServiceClient, order *orderv1.Order) (*orderv1.Order, error) {
	ctx, cancel := context.WithTimeout(context.Background(), settledWithin)
	defer cancel()
	for order.GetStatus() == orderv1.OrderStatus_ORDER_STATUS_PENDING {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("order %s is still pending", order.GetId())
		case <-time.After(50 * time.Millisecond):
		}
		answer, err := orders.GetOrder(ctx, &orderv1.GetOrderRequest{Id: order.GetId()})
		if err != nil {
			return nil, err
		}
		order = answer.GetOrder()
	}
	return order, nil
}

// placeWrongOrder shows what an invalid request gets: INVALID_ARGUMENT that names the field.
func placeWrongOrder(orders orderv1.OrderServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	price := int64(5000)
	_, err := orders.CreateOrder(ctx, &orderv1.CreateOrderRequest{
		Lines: []*orderv1.NewOrderLine{{ProductId: 1, Quantity: 0, UnitPrice: &price}},
	})
	failure := status.Convert(err)
	if failure.Code() != codes.InvalidArgument {
		return fmt.Errorf("an order of 0 pieces was answered with %v", failure.Code())
	}
	named := false
	for _, detail := range failure.Details() {
		if request, ok := detail.(*errdetails.BadRequest); ok {
			for _, violation := range request.GetFieldViolations() {
				fmt.Printf("refused: %s: %s\n", violation.GetField(), violation.GetDescription())
				named = true
			}
		}
	}
	if !named {
		return errors.New("the answer does not name the field")
	}
	return nil
}
