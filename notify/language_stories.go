package notify

// storyPhrases are the words of one language for what several events tell
// together, for planned disturbances and for what is not an event at all. The
// rules of phrases hold for them too.
type storyPhrases struct {
	one, many string // 1: how many transitions
	within    string // 1: how many transitions, 2: in what time

	// The first words of subjects and badges.
	tagFlapping, tagSettled, tagResolved, tagSummary, tagTest, tagPlanned string

	// Subjects.
	subjectFlapping     string // 1: who, 2: the host, 3: how many transitions in what time, 4: the state now
	subjectSettled      string // 1: who, 2: the host
	subjectSettledAfter string // 1: how many transitions in what time
	subjectReminder     string // 1: who, 2: the host, 3: how long
	subjectResolved     string // 1: who, 2: the host, 3: the state now
	subjectLasted       string // 1: how long the FAULT lasted
	subjectSummary      string // 1: the host, 2: how many transitions, 3: who stands in which state
	subjectTest         string // 1: the host
	subjectUntil        string // 1: until when
	subjectFor          string // 1: until when, 2: why
	subjectMixed        string // 1: the states and who stands in them, 2: the host

	// Titles, behind the host.
	titleFlapping string // 1: who, 2: how many transitions in what time, 3: the state now
	titleSettled  string // 1: who, 2: the state, 3: how many transitions in what time
	titleReminder string // 1: who, 2: how long
	titleResolved string // 1: what changed
	titleSummary  string // 1: how many transitions, 2: who stands in which state
	titleTest     string
	titlePlanned  string // 1: what changed

	// Headlines.
	headlines         map[State]string // of several; 1: who, 2: the host
	headlineOther     string           // of several in a state hacheck does not know; 1: who, 2: the host
	headlineMixed     string           // 1: the host, 2: who stands in which state
	headlineFlapping  string           // 1: who, 2: the host, 3: how many transitions in what time, 4: the state now
	headlineFlappings string           // of several
	headlineSettled   string           // 1: who stands in which state, 2: the host, 3: how many transitions in what time
	headlineReminder  string           // 1: who, 2: the host, 3: how long
	headlineReminders string           // of several
	headlineSummary   string           // 1: the host, 2: how many transitions
	headlineTest      string           // 1: the host

	// Sentences.
	resolvedAfter     string // 1: how long the FAULT lasted
	resolved          string
	heldBack          string
	flappingCause     string
	settledTold       string
	reminderSince     string // 1: since when
	summaryStanding   string // 1: who stands in which state
	summaryReason     string // 1: why
	summaryNone       string
	testWorks         string
	testFacts         string
	plannedUntil      string // 1: until when
	plannedFor        string // 1: until when, 2: why
	templateFailed    string // 1: what is wrong with it
	stopMasterSeveral string

	// Labels, headings and values of rows.
	labelCount, labelBegan, labelMaintenance string
	headingStanding                          string
	headingCourse                            string // 1: the zone that the times are in
	countWithin                              string // 1: how many, 2: in what time
	ageBefore, ageAfter, ageStale            string // 1: a duration
	ageNow                                   string
	leftOut                                  string // 1: how many
	maintenanceUntil                         string // 1: until when
	maintenanceFor                           string // 1: until when, 2: why
	nextRunbook                              string
}
