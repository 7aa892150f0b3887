package demo

import "strings"

type subject struct {
	name, code string
	topics     []string
}

var subjects = []subject{
	{"Natural Sciences", "NAT", []string{"Cell biology", "Organic chemistry", "Classical mechanics", "Ecology of rivers", "Thermodynamics", "Genetics", "Astronomy"}},
	{"Mathematics", "MAT", []string{"Linear algebra", "Probability", "Real analysis", "Graph theory", "Numerical methods", "Number theory", "Statistics with real data"}},
	{"Computing", "CMP", []string{"Algorithms", "Operating systems", "Databases", "Distributed systems", "Compilers", "Computer networks", "Machine learning"}},
	{"Humanities", "HUM", []string{"World history since 1500", "Ethics", "Philosophy of language", "Art of the Renaissance", "Music theory", "Ancient Greek literature", "Film studies"}},
	{"Social Sciences", "SOC", []string{"Microeconomics", "Social psychology", "Comparative politics", "Urban sociology", "Development economics", "Anthropology", "International law"}},
	{"Health", "HEA", []string{"Human anatomy", "Epidemiology", "Nutrition", "Nursing practice", "First aid", "Pharmacology", "Public health"}},
	{"Languages", "LAN", []string{"Spanish for beginners", "German grammar", "Vietnamese conversation", "Academic writing", "Translation", "Phonetics", "French literature"}},
	{"Business", "BUS", []string{"Accounting", "Marketing", "Project management", "Corporate finance", "Negotiation", "Supply chains", "Entrepreneurship"}},
}

var (
	levels = []string{"beginner", "intermediate", "advanced"}
	stages = []string{"Discovering", "Foundations of", "Working with", "Problems in", "Advanced", "Reviewing", "Beyond"}
	forms  = []string{"Reading", "Lecture notes", "Exercise", "Case study", "Summary"}
	places = []struct{ locale, zone string }{
		{"en", "Europe/London"},
		{"en", "America/New_York"},
		{"de", "Europe/Berlin"},
		{"es", "Europe/Madrid"},
		{"es", "America/Bogota"},
		{"vi", "Asia/Ho_Chi_Minh"},
		{"en", "Asia/Kolkata"},
		{"en", "Australia/Sydney"},
	}
	givenNames = []string{
		"Amara", "Linh", "Jonas", "Sofía", "Priya", "Mateo", "Aylin", "Noah", "Chidi", "Hannah", "Minh", "Elena", "Omar", "Freya",
		"Kofi", "Mei", "Lukas", "Zara", "Diego", "Ingrid", "Tuan", "Amina", "Paul", "Yuki", "Rosa", "Ivan", "Nadia", "Samir", "Greta", "Luis",
	}
	familyNames = []string{
		"Okafor", "Nguyen", "Schmidt", "García", "Sharma", "Rossi", "Yilmaz", "Johnson", "Adeyemi", "Müller", "Tran", "Petrov", "Haddad",
		"Larsen", "Mensah", "Chen", "Weber", "Khan", "Fernández", "Berg", "Pham", "Diallo", "Martin", "Tanaka", "Silva", "Novak", "Rahman", "Fischer", "Costa", "Kim",
	}
	fold = strings.NewReplacer("á", "a", "é", "e", "í", "i", "ó", "o", "ú", "u", "ü", "u", "ö", "o", "ä", "a", "ñ", "n")
)
