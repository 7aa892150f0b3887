package coursework

import (
	"regexp"
	"slices"
	"strings"
)

var mediaType = regexp.MustCompile(`^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$`)

// shown is what the bytes of well-known kinds of files show, by extension. What is
// not here cannot be told from its first bytes.
func shown(extension string) []string {
	switch extension {
	case "pdf":
		return []string{"application/pdf"}
	case "png":
		return []string{"image/png"}
	case "jpg", "jpeg":
		return []string{"image/jpeg"}
	case "gif":
		return []string{"image/gif"}
	case "webp":
		return []string{"image/webp"}
	case "docx":
		return []string{"application/vnd.openxmlformats-officedocument.wordprocessingml.document", "application/zip"}
	case "xlsx":
		return []string{"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "application/zip"}
	case "pptx":
		return []string{"application/vnd.openxmlformats-officedocument.presentationml.presentation", "application/zip"}
	case "odt":
		return []string{"application/vnd.oasis.opendocument.text", "application/zip"}
	case "zip":
		return []string{"application/zip", "application/java-archive"}
	case "gz", "tgz":
		return []string{"application/gzip"}
	case "7z":
		return []string{"application/x-7z-compressed"}
	case "mp3":
		return []string{"audio/mpeg"}
	case "mp4", "m4v", "mov":
		return []string{"video/mp4", "video/quicktime", "video/x-m4v"}
	case "webm":
		return []string{"video/webm"}
	}
	return nil
}

// known are media types that bytes show reliably: a file that declares one shows
// it, or the declaration is a lie.
var known = []string{
	"application/pdf", "image/png", "image/jpeg", "image/gif", "image/webp", "application/gzip", "audio/mpeg", "video/webm", "application/x-7z-compressed",
}

// programs are media types of what a machine runs.
var programs = []string{"application/x-executable", "application/x-elf", "application/vnd.microsoft.portable-executable", "application/x-mach-binary", "application/x-sharedlib", "application/x-object"}

// honest says whether bytes that show a media type are what the file's name and its
// declared type say.
func honest(filename, declared, sniffed string) bool {
	extension := extensionOf(filename)
	if want := shown(extension); want != nil && !slices.Contains(want, sniffed) {
		return false
	}
	if slices.Contains(known, declared) && declared != sniffed {
		return false
	}
	if slices.Contains(programs, sniffed) {
		return slices.Contains([]string{"", "exe", "dll", "bin", "o", "so", "out", "elf", "dylib"}, extension)
	}
	// A page that a browser would run must say that it is one.
	if sniffed == "text/html" && !strings.HasPrefix(extension, "htm") && extension != "xhtml" {
		return !slices.Contains([]string{"txt", "csv", "md"}, extension)
	}
	return true
}
