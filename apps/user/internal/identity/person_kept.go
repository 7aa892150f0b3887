package identity

// KeptOf says what the services had to keep of an erased person, and why.
func KeptOf(r PersonRequest) []string { return keptOf(r.Parts) }
