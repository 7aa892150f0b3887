// Command payment is the payment service: what courses cost, who has paid, and the
// books of it.
package main

import "lms/apps/payment/entry"

func main() { entry.Main() }
