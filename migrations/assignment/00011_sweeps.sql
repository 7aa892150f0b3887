-- +goose Up
-- Who has a due time of one's own for a quiz, and did nothing by it.
create index quiz_scores_own_due on quiz_scores (due_at)
  where told and due_at is not null and submitted_at is null and score is null and excused_at is null and missing_at is null and not pending;

-- When the sweep last looked for who is to be told of a due time: people enroll
-- after it did.
alter table assignments add column due_soon_swept_at timestamptz;

-- Columns of a gradebook in which lateness has taken something.
create index grades_deducted on grades (course_id, assignment_id) where deduction > 0;
create index quiz_scores_deducted on quiz_scores (course_id, quiz_id) where deduction > 0;
