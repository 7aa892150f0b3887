package library

import (
	"context"

	"github.com/google/uuid"
)

// What user tells of people. The transaction is the receiver's, so that the call is
// remembered and its effect stored in one commit.

// Merge gives what one person made and watched to another. Where both watched the
// same, the heir's stays.
func (s *Service) Merge(ctx context.Context, tx Tx, user, heir uuid.UUID) error {
	return tx.MergePerson(ctx, user, heir)
}

// Erase forgets a person: what they watched and opened is deleted, what they made
// for an organisation stays under the pseudonym. kept is how much that is.
func (s *Service) Erase(ctx context.Context, tx Tx, user, pseudonym uuid.UUID) (kept int64, err error) {
	open, err := tx.UploadsOf(ctx, user)
	if err != nil {
		return 0, err
	}
	for _, u := range open {
		if u.FinishedAt == nil {
			if err := s.end(ctx, tx, &u, UploadAborted); err != nil {
				return 0, err
			}
		}
	}
	return tx.ForgetPerson(ctx, user, pseudonym)
}

// PersonData is everything that the library keeps of a person.
type PersonData struct {
	Contents []Content
	Uploads  []Upload
	Openings []Opening
	Watches  []Watch
}

// maxExported bounds each part of an export: all together stay below what a call
// may answer.
const maxExported = 2_000

// Export gathers what is kept of a person.
func (s *Service) Export(ctx context.Context, tx Tx, user uuid.UUID) (out PersonData, err error) {
	if out.Contents, err = tx.ContentsBy(ctx, user, maxExported); err != nil {
		return out, err
	}
	if out.Uploads, err = tx.UploadsOf(ctx, user); err != nil {
		return out, err
	}
	if out.Openings, err = tx.OpeningsOf(ctx, user, maxExported); err != nil {
		return out, err
	}
	out.Watches, err = tx.WatchesOf(ctx, user, maxExported)
	return out, err
}
