//! I11 and I12: every resource has one holder, and none is created or lost. (Filled in with the ledger's tests.)
