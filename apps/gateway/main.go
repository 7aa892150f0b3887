// Command gateway is the one REST API that clients see.
package main

import "lms/apps/gateway/entry"

func main() { entry.Main() }
