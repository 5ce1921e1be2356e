-- CreateIndex
CREATE INDEX "user_token_days_day_idx" ON "user_token_days"("day");

-- CreateIndex
CREATE INDEX "tenant_token_days_day_idx" ON "tenant_token_days"("day");
