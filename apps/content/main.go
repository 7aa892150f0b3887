// Command content is the content service: the media library and quizzes.
package main

import (
	"lms/apps/content/internal/app"
	"lms/shared/service"
)

func main() { service.Main("content", app.Build) }
