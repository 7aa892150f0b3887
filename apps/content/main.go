// Command content is the content service: the media library and quizzes.
package main

import "lms/apps/content/entry"

func main() { entry.Main() }
