package library

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/work"
)

// Taken is a content that a course import brings: the text of a page, or a file that
// lies in the object store. course decided that the actor may.
type Taken struct {
	ID                                                 uuid.UUID
	TransferID, TenantID, OrgUnitID, CourseID, ActorID uuid.UUID
	Title                                              string
	Publish                                            bool
	Body                                               *string
	File                                               *internalapi.PartFile
}

// Take makes the content for its course. A file is verified by a job, of which
// course hears when it is over: pending says so. Repeated, it makes nothing twice.
// The transaction is the receiver's.
func (s *Service) Take(ctx context.Context, tx Tx, in Taken) (pending bool, err error) {
	if _, err := tx.AnyContent(ctx, in.ID); err == nil || !apperr.IsKind(err, apperr.KindNotFound) {
		return false, err
	}
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return false, err
	}
	now := s.Now()
	c := Content{
		ID: in.ID, TenantID: in.TenantID, OrgUnitID: in.OrgUnitID, OrgUnitPath: pathOf(policy, in.OrgUnitID, []uuid.UUID{in.OrgUnitID}), CourseID: &in.CourseID,
		Kind: events.ContentPage, Properties: DefaultProperties(), Status: events.ContentDraft, CreatedBy: in.ActorID, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	c.Title = shortTitle(in.Title)
	c.Normalise()
	var u Upload
	if in.File != nil {
		c.Kind = kindOf(in.File.MediaType)
		u = s.takenFile(in, c)
		if c.Kind == "" {
			return false, apperr.New(apperr.KindUnsupportedMedia, "media_type_not_allowed", "A file of the type "+in.File.MediaType+" cannot be a content.")
		}
		if err := u.check(c.Kind); err != nil {
			return false, err
		}
	}
	if err := c.Check(); err != nil {
		return false, err
	}
	if err := tx.InsertContent(ctx, c); err != nil {
		return false, err
	}
	if in.File == nil {
		if err := s.takePage(ctx, tx, &c, in); err != nil {
			return false, err
		}
	}
	if err := s.tell(ctx, tx, c, func(st events.ContentState) events.Event { return events.ContentCreated{ContentState: st} }); err != nil {
		return false, err
	}
	if _, err := s.tellCourse(ctx, tx, c); err != nil {
		return false, err
	}
	if err := tx.Audit(ctx, c.audit("content.transfer", map[string]work.Change{"title": {To: c.Title}})); err != nil {
		return false, err
	}
	if in.File == nil {
		if in.Publish {
			err = s.publish(ctx, tx, c)
		}
		return false, err
	}
	if err := tx.InsertUpload(ctx, u); err != nil {
		return false, err
	}
	_, err = tx.Enqueue(ctx, JobVerify, VerifyInput{TenantID: u.TenantID, UploadID: u.ID}, work.JobOptions{TenantID: u.TenantID, Key: u.ID.String()})
	return true, err
}

func (s *Service) takePage(ctx context.Context, tx Tx, c *Content, in Taken) error {
	body := ""
	if in.Body != nil {
		body = *in.Body
	}
	if _, err := s.write(ctx, tx, c, body, in.ActorID); err != nil {
		return err
	}
	return tx.UpdateContent(ctx, *c)
}

// takenFile is the file as an upload whose bytes have arrived.
func (s *Service) takenFile(in Taken, c Content) Upload {
	now := s.Now()
	return Upload{
		ID: s.NewID(), TenantID: c.TenantID, ContentID: c.ID, OwnerID: in.ActorID, Filename: in.File.Filename, MediaType: in.File.MediaType,
		Size: in.File.Size, SHA256: in.File.SHA256, InboxKey: in.File.ObjectKey, Key: objectKey(c, "f-"+in.ID.String()), State: UploadOpen,
		TransferID: &in.TransferID, Publish: in.Publish, CreatedAt: now, ExpiresAt: now.Add(UploadLife),
	}
}

func shortTitle(title string) string {
	if title = strings.TrimSpace(title); title == "" {
		return "Content"
	}
	if utf8.RuneCountInString(title) > MaxTitle {
		return string([]rune(title)[:MaxTitle])
	}
	return title
}

// publish lets learners see a content of which a version is there, in the
// transaction that made it.
func (s *Service) publish(ctx context.Context, tx Tx, c Content) error {
	before := c
	now := s.Now()
	c.Status, c.PublishedAt = events.ContentStatusPublished, &now
	event := func(st events.ContentState, _ []string) events.Event {
		return events.ContentPublished{ContentState: st}
	}
	return s.store(ctx, tx, before, &c, "content.publish", event, map[string]work.Change{"status": {From: before.Status, To: c.Status}})
}

// tellTransfer says to a course import what became of a file that it brought.
func (s *Service) tellTransfer(ctx context.Context, tx Tx, u Upload) error {
	if u.TransferID == nil {
		return nil
	}
	out := internalapi.PartSettled{TransferID: *u.TransferID, ResourceID: u.ContentID, State: internalapi.PartMade}
	if u.State != UploadCompleted {
		out.State, out.Code, out.Message = internalapi.PartFailed, u.State, "The file did not become a content in time."
		if u.Code != "" {
			out.Code, out.Message = u.Code, apperr.From(u.rejection()).Message
		}
	}
	_, err := tx.Call(ctx, work.Call{
		To: "course", Name: internalapi.CallPartSettled, Key: u.TransferID.String() + "/" + u.ContentID.String(), TenantID: u.TenantID, Body: out,
	})
	return err
}

// Given is a content as it goes out with a course: its file where it lies, or the
// text of a page.
type Given struct {
	Title    string
	Body     string
	File     *internalapi.PartFile
	Captions int
}

// Give gives a content of a tenant to a course's export. The transaction is the
// receiver's.
func (s *Service) Give(ctx context.Context, tx Tx, tenant, id uuid.UUID) (Given, error) {
	c, err := tx.Content(ctx, id)
	if err != nil {
		return Given{}, err
	}
	if c.TenantID != tenant {
		return Given{}, apperr.NotFound("content")
	}
	if c.Current == 0 {
		return Given{}, apperr.Conflict("no_version", "Nothing was uploaded yet.")
	}
	v, err := tx.Version(ctx, id, c.Current)
	if err != nil {
		return Given{}, err
	}
	out := Given{Title: c.Title, Body: v.Body}
	if c.Kind == events.ContentPage {
		return out, nil
	}
	out.File = &internalapi.PartFile{ObjectKey: v.Key, Filename: v.Filename, MediaType: v.MediaType, Size: v.Size, SHA256: v.SHA256}
	if recording(c.Kind) {
		captions, err := tx.Captions(ctx, id)
		if err != nil {
			return Given{}, err
		}
		out.Captions = len(captions)
	}
	return out, nil
}
