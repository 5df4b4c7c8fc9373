# Sourced by grpcurl.sh and buf-curl.sh: one walk that makes every call, on a product of its own. They give
#   call <address> <method> <request>   shows what it runs and what comes back, leaves the answer in $answer, fails when the call does;
#   $price_mask                         a field mask of "price" as JSON.
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

orders=tradewind.order.v1.OrderService
products=tradewind.product.v1.ProductService
stocks=tradewind.stock.v1.StockService
rates=tradewind.ratings.v1.RatingsService
trails=tradewind.messaging.v1.InspectionService

# field <name>: the first value of that name in the last answer.
field() {
  tr '{,' '\n\n' <"$answer" | sed -n "s/^ *\"$1\": *\"\{0,1\}\([^\"}]*\)\"\{0,1\}.*/\1/p" | head -n 1
}

# expect <name> <value>: what the last answer must say.
expect() {
  [ "$(field "$1")" = "$2" ] && return
  echo "$1 should be \"$2\"" >&2
  exit 1
}

# settled <order id> <status>: waits until the saga is over.
settled() {
  tries=0
  call "$order" "$orders/GetOrder" "{\"id\":\"$1\"}"
  while [ "$(field status)" = ORDER_STATUS_PENDING ] && [ "$tries" -lt 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
    call "$order" "$orders/GetOrder" "{\"id\":\"$1\"}" >/dev/null
  done
  cat "$answer"
  expect status "$2"
}

# counted <subject> <ratings>: waits until so many are counted.
counted() {
  tries=0
  call "$ratings" "$rates/GetSummary" "{\"subject\":$1}"
  while [ "$(field count)" != "$2" ] && [ "$tries" -lt 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
    call "$ratings" "$rates/GetSummary" "{\"subject\":$1}" >/dev/null
  done
  cat "$answer"
  expect count "$2"
}

# rate <product id>: every call of ratings, with a talk and people of its own.
rate() {
  unique=$(date +%s%N)
  talk=example-$unique
  call "$ratings" "$rates/CreateTalk" "{\"id\":\"$talk\",\"title\":\"An example of a talk\"}"
  call "$ratings" "$rates/ListTalks" '{"page_size":2}'
  call "$ratings" "$rates/RateTalk" "{\"talk_id\":\"$talk\",\"value\":5}"
  counted "{\"talk_id\":\"$talk\"}" 1
  call "$ratings" "$rates/GetTalkStatistics" "{\"talk_id\":\"$talk\"}"
  expect count 1

  call "$ratings" "$rates/CreateCustomer" "{\"name\":\"An example\",\"email\":\"customer-$unique@example.com\"}"
  customer=$(field id)
  call "$ratings" "$rates/GetCustomer" "{\"id\":\"$customer\"}"
  call "$ratings" "$rates/CreateServiceProvider" "{\"name\":\"An example\",\"email\":\"provider-$unique@example.com\"}"
  provider=$(field id)
  call "$ratings" "$rates/GetServiceProvider" "{\"id\":\"$provider\"}"
  by="\"customer_id\":\"$customer\""
  subject="{\"service_provider_id\":\"$provider\"}"
  call "$ratings" "$rates/CreateRating" "{\"subject\":$subject,$by,\"value\":2,\"comment\":\"Late\"}"
  rating=$(field id)
  call "$ratings" "$rates/UpdateRating" "{\"id\":\"$rating\",\"value\":4}"
  call "$ratings" "$rates/GetRating" "{\"id\":\"$rating\"}"
  expect value 4
  call "$ratings" "$rates/ListRatings" "{\"page_size\":1,$by}"
  expect id "$rating"
  # Ratings has heard of the product when its summary is there.
  tries=0
  until call "$ratings" "$rates/GetSummary" "{\"subject\":{\"product_id\":$1}}" >/dev/null || [ "$tries" -ge 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
  done
  call "$ratings" "$rates/CreateRating" "{\"subject\":{\"product_id\":$1},$by,\"value\":5}"
  counted "{\"product_id\":$1}" 1
  call "$ratings" "$rates/BatchGetSummaries" "{\"subjects\":[{\"product_id\":$1},$subject]}"
  expect average 5
}

walk() {
  call "$product" "$products/CreateProduct" '{"name":"Brass sextant","price":"24900","category":"instruments","brand":"Example"}'
  id=$(field id)
  call "$product" "$products/GetProduct" "{\"id\":$id}"
  call "$product" "$products/BatchGetProducts" "{\"ids\":[$id]}"
  call "$product" "$products/ListProducts" '{"page_size":2,"search":"sextant"}'
  call "$product" "$products/ListCategories" '{}'
  call "$product" "$products/UpdateProduct" "{\"id\":$id,\"product\":{\"price\":\"19900\"},\"update_mask\":$price_mask}"
  expect price 19900

  call "$stock" "$stocks/SetStock" "{\"product_id\":$id,\"quantity\":\"5\"}"
  call "$stock" "$stocks/AdjustStock" "{\"product_id\":$id,\"delta\":\"-2\"}"
  expect quantity 3
  call "$stock" "$stocks/BatchGetStock" "{\"product_ids\":[$id]}"
  call "$stock" "$stocks/ListStock" '{"page_size":2}'
  call "$stock" "$stocks/ListEmptyStock" '{"page_size":2}'

  line="\"product_id\":$id,\"unit_price\":\"19900\""
  call "$order" "$orders/CreateOrder" "{\"customer_id\":\"example\",\"lines\":[{$line,\"quantity\":2}]}"
  placed=$(field id)
  settled "$placed" ORDER_STATUS_CONFIRMED
  call "$order" "$orders/GetSaga" "{\"id\":\"$placed\"}"
  expect orderId "$placed"
  call "$stock" "$trails/GetTrail" "{\"key\":\"$placed\"}"
  expect group stock
  call "$stock" "$stocks/GetStock" "{\"product_id\":$id}"
  expect quantity 1
  call "$order" "$orders/ListOrders" '{"page_size":1,"customer_id":"example"}'
  expect id "$placed"
  call "$order" "$orders/CreateOrder" "{\"customer_id\":\"example\",\"lines\":[{$line,\"quantity\":9}]}"
  settled "$(field id)" ORDER_STATUS_CANCELED
  call "$order" "$orders/CancelOrder" "{\"id\":\"$placed\"}"
  expect status ORDER_STATUS_CANCELED
  rate "$id"
  call "$product" "$products/DeleteProduct" "{\"id\":$id}"

  echo "# an invalid request is refused, and the field is named"
  if call "$order" "$orders/CreateOrder" '{"lines":[{"product_id":1,"quantity":0,"unit_price":"1"}]}'; then
    echo "an order of 0 pieces was accepted" >&2
    exit 1
  fi
  grep -q 'lines\[0\].quantity' "$answer"
}
