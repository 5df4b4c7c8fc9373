"""Places an order with a gRPC client that was generated from the contracts.

Usage: place_order.py [host:port]
"""

import sys
import time
import uuid

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from tradewind.order.v1 import order_pb2, order_pb2_grpc

CALL_TIMEOUT_SECONDS = 5
SETTLED_WITHIN_SECONDS = 30


def place_order(orders: order_pb2_grpc.OrderServiceStub) -> order_pb2.Order:
    """Places an order and waits until it is confirmed or cancelled."""
    request = order_pb2.CreateOrderRequest(
        customer_id="example-python",
        lines=[order_pb2.NewOrderLine(product_id=1, quantity=2, unit_price=5000)],
    )
    # With a key, a repeat after a lost answer gives the first answer again.
    metadata = [("idempotency-key", str(uuid.uuid4()))]
    order = orders.CreateOrder(request, metadata=metadata, timeout=CALL_TIMEOUT_SECONDS).order
    deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
    while order.status == order_pb2.ORDER_STATUS_PENDING:
        if time.monotonic() > deadline:
            raise TimeoutError(f"order {order.id} is still pending")
        time.sleep(0.05)
        order = orders.GetOrder(order_pb2.GetOrderRequest(id=order.id), timeout=CALL_TIMEOUT_SECONDS).order
    return order


def place_wrong_order(orders: order_pb2_grpc.OrderServiceStub) -> list[str]:
    """What an invalid request gets: INVALID_ARGUMENT that names the field."""
    line = order_pb2.NewOrderLine(product_id=1, quantity=0, unit_price=5000)
    try:
        orders.CreateOrder(order_pb2.CreateOrderRequest(lines=[line]), timeout=CALL_TIMEOUT_SECONDS)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
            raise
        violations = []
        for detail in rpc_status.from_call(error).details:
            request = error_details_pb2.BadRequest()
            if detail.Unpack(request):
                violations += [f"{each.field}: {each.description}" for each in request.field_violations]
        if not violations:
            raise RuntimeError("the answer does not name the field") from error
        return violations
    raise RuntimeError("an order of 0 pieces was accepted")


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:3000"
    with grpc.insecure_channel(address) as channel:
        orders = order_pb2_grpc.OrderServiceStub(channel)
        print(json_format.MessageToJson(place_order(orders), preserving_proto_field_name=True))
        for violation in place_wrong_order(orders):
            print(f"refused: {violation}")


if __name__ == "__main__":
    main()
