package catalog

import (
	contract "lms/shared/contracts/events"
)

const groupContent = "content"

func contentKinds() []Kind {
	return []Kind{
		{Key: "upload.rejected", Group: groupContent, Default: listed(), Variables: []Variable{
			{Name: "code", Type: Text, Sample: "checksum_mismatch"},
		}},
	}
}

func contentRules() []Rule {
	return []Rule{
		none(contract.TypeContentCreated, "A draft concerns its author."),
		none(contract.TypeContentUpdated, "The library shows it."),
		none(contract.TypeContentPublished, "It may be placed in many courses; each course shows what is new."),
		none(contract.TypeContentUnpublished, "The library shows it."),
		none(contract.TypeContentDeleted, "The library shows it."),
		none(contract.TypeContentWatched, "A person's own act."),
		on(contract.TypeUploadRejected, func(_ Event, u contract.UploadRejected) []Notice {
			return one("upload.rejected", u.UserID, noCourse, "/contents/"+u.ContentID.String(), map[string]string{"code": u.Code})
		}),
	}
}
