-- What the knowledge bases are called and described as is told to models, from the cached configuration of the tenant: every
-- instance drops it when that changes. What indexing writes to a base, such as its counts, announces nothing.
CREATE TRIGGER "knowledge_bases_notify_of_change" AFTER UPDATE OF "name", "description", "deleted_at" ON "knowledge_bases"
    FOR EACH ROW EXECUTE FUNCTION notify_of_configuration();
CREATE TRIGGER "knowledge_bases_notify" AFTER INSERT OR DELETE ON "knowledge_bases"
    FOR EACH ROW EXECUTE FUNCTION notify_of_configuration();
