// Command analytics is the analytics service: every event kept, added up, and
// reported.
package main

import "lms/apps/analytics/entry"

func main() { entry.Main() }
