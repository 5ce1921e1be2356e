-- By hand. The search of contacts for a part of the name, the e-mail address or the telephone number (contacts/list.ts has
-- the same expression). The extension pg_trgm is there since the migration of knowledge bases.
CREATE INDEX "contacts_search_idx" ON "contacts" USING gin (
  lower(coalesce("name", '') || ' ' || coalesce("email", '') || ' ' || coalesce("phone", '')) gin_trgm_ops
) WHERE "merged_into_id" IS NULL;
