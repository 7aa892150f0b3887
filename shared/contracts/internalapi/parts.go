package internalapi

import (
	"github.com/google/uuid"
)

// Reliable calls by which course has content and assignment copy, take in and give
// out what they own of a course that is copied, imported or exported. Each is about
// one part: a content, a quiz, an assignment, or how the course's grades count. The
// key is "<transfer>/<resource>"; each answers PartReply, and has its effect once.
const (
	CallClonePart  = "clone-part"  // course
	CallImportPart = "import-part" // course
	CallExportPart = "export-part" // course
	// CallPartSettled is content's word on a file that was taken in: that is verified
	// after the reply to CallImportPart. Served by course.
	CallPartSettled = "part-settled"
)

// PartGradebook is the kind of the part that says how a course's grades count: its
// settings, late policy, groups, and where quizzes stand. Its id is the course's.
const PartGradebook = "gradebook"

// Formats of a part's package.
const (
	PartCartridge = "common_cartridge"
	PartOLX       = "olx"
)

// MaxPartPackage bounds the package of a part, in bytes of the zip: a call carries it
// through the sidecars, whose bodies end at 4 MiB.
const MaxPartPackage = 2 << 20

// TransferredID is the id that a resource gets in the course that a transfer makes.
// All services give the same resource the same new id, without asking each other.
func TransferredID(transfer, source uuid.UUID) uuid.UUID {
	return uuid.NewSHA1(transfer, source[:])
}

// PartPlace says where a part goes. OrgUnitID is the course's, ActorID who asked.
type PartPlace struct {
	TransferID uuid.UUID `json:"transfer_id"`
	TenantID   uuid.UUID `json:"tenant_id"`
	OrgUnitID  uuid.UUID `json:"org_unit_id"`
	CourseID   uuid.UUID `json:"course_id"`
	ActorID    uuid.UUID `json:"actor_id"`
}

// ClonePart asks for a copy of a part in another course of the tenant. The copy's id
// is TransferredID(TransferID, SourceID); a gradebook's is the course's.
type ClonePart struct {
	PartPlace
	Kind     string    `json:"kind"`
	SourceID uuid.UUID `json:"source_id"`
	// ShiftSeconds moves every date.
	ShiftSeconds int64 `json:"shift_seconds,omitempty"`
}

// ImportPart asks for a part to be made from a package or, for a content that is a
// file, from an object that the receiver takes over.
type ImportPart struct {
	PartPlace
	Kind       string    `json:"kind"`
	ResourceID uuid.UUID `json:"resource_id"`
	Title      string    `json:"title"`
	Published  bool      `json:"published"`
	Format     string    `json:"format"`
	// Package is a zip with the part's documents; Main names the one to begin with.
	Package []byte    `json:"package,omitempty"`
	Main    string    `json:"main,omitempty"`
	File    *PartFile `json:"file,omitempty"`
}

// ExportPart asks for a part as documents of a format.
type ExportPart struct {
	TransferID uuid.UUID `json:"transfer_id"`
	TenantID   uuid.UUID `json:"tenant_id"`
	CourseID   uuid.UUID `json:"course_id"`
	Kind       string    `json:"kind"`
	ResourceID uuid.UUID `json:"resource_id"`
	Format     string    `json:"format"`
}

// PartFile is a file in the object store that all services share.
type PartFile struct {
	ObjectKey string `json:"object_key"`
	Filename  string `json:"filename"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`
}

// States of a part.
const (
	PartPending = "pending" // PartSettled follows
	PartMade    = "made"
	PartFailed  = "failed"
)

// PartReply is what became of a part. What fails for good is told here, and is no
// error of the call.
type PartReply struct {
	State   string     `json:"state"`
	Code    string     `json:"code,omitempty"`
	Message string     `json:"message,omitempty"`
	Notes   []PartNote `json:"notes,omitempty"`
	// Package and Main, or File, are an exported part; Title is that of its resource.
	Package []byte    `json:"package,omitempty"`
	Main    string    `json:"main,omitempty"`
	File    *PartFile `json:"file,omitempty"`
	Title   string    `json:"title,omitempty"`
}

// PartNote is something of a part that was left out or changed.
type PartNote struct {
	Ref     string `json:"ref,omitempty"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// PartSettled says what became of a part that was pending.
type PartSettled struct {
	TransferID uuid.UUID `json:"transfer_id"`
	ResourceID uuid.UUID `json:"resource_id"`
	State      string    `json:"state"`
	Code       string    `json:"code,omitempty"`
	Message    string    `json:"message,omitempty"`
}
