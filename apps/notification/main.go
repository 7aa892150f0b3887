// Command notification tells people what happened: in their list, by mail, and
// to integrators by webhooks.
package main

import "lms/apps/notification/entry"

func main() { entry.Main() }
