//! The invoices of all tenants, in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use crate::invoice::{Details, Id, Invoice, Status, Typed};

/// How many invoices a tenant may have.
pub const MAX_INVOICES: usize = 1_000;
/// What a listener may be behind before it is sent away.
const MAX_BEHIND: usize = 64;
const FIRST_NUMBER: u32 = 1_001;

/// The invoices of each tenant.
#[derive(Debug)]
pub struct Book {
    tenants: Mutex<HashMap<String, Tenant>>,
    has_samples: bool,
}

#[derive(Debug)]
struct Tenant {
    /// By number.
    invoices: Vec<Invoice>,
    /// What forms led to, by who sent them and their one-time key.
    forms: HashMap<(String, Id), Id>,
    events: broadcast::Sender<Event>,
}

/// What happened to an invoice.
#[derive(Clone, Debug)]
pub struct Event {
    /// It is new; otherwise it changed.
    pub is_new: bool,
    /// The invoice, as it is then.
    pub invoice: Invoice,
}

/// Who writes, and when.
#[derive(Clone, Debug)]
pub struct Author<'a> {
    /// The tenant's id.
    pub tenant: &'a str,
    /// `sub`.
    pub person: &'a str,
    /// In milliseconds since 1970.
    pub now: u64,
}

/// A tenant has as many invoices as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Why a status did not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unchanged {
    /// The tenant has no such invoice.
    Unknown,
    /// It is what it is for good.
    Final,
}

impl Book {
    /// Returns an empty one. With samples, each tenant has three invoices when it is first seen.
    #[must_use]
    pub fn new(has_samples: bool) -> Self {
        Self {
            tenants: Mutex::default(),
            has_samples,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Tenant>> {
        // Nothing can panic while the lock is held but the allocator.
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs with the tenant, which is there then.
    fn with<T>(&self, tenant: &str, run: impl FnOnce(&mut Tenant) -> T) -> T {
        let mut tenants = self.lock();
        if let Some(found) = tenants.get_mut(tenant) {
            return run(found);
        }
        let invoices = if self.has_samples {
            samples()
        } else {
            Vec::new()
        };
        let new = Tenant {
            invoices,
            forms: HashMap::new(),
            events: broadcast::channel(MAX_BEHIND).0,
        };
        run(tenants.entry(tenant.to_owned()).or_insert(new))
    }

    /// Returns a tenant's invoices, the newest first.
    #[must_use]
    pub fn all(&self, tenant: &str) -> Vec<Invoice> {
        self.with(tenant, |it| it.invoices.iter().rev().cloned().collect())
    }

    /// Returns an invoice, if the tenant has it.
    #[must_use]
    pub fn find(&self, tenant: &str, id: &str) -> Option<Invoice> {
        self.with(tenant, |it| {
            let mut invoices = it.invoices.iter();
            invoices.find(|one| one.id.as_str() == id).cloned()
        })
    }

    /// Adds an invoice. With the key of a form, the same person's same key again returns the invoice that it led to.
    ///
    /// # Errors
    ///
    /// Fails where the tenant has 1,000.
    pub fn add(
        &self,
        author: &Author<'_>,
        details: Details,
        form: Option<Id>,
    ) -> Result<Invoice, Full> {
        self.with(author.tenant, |tenant| {
            let form = form.map(|key| (author.person.to_owned(), key));
            let earlier = form.as_ref().and_then(|form| tenant.forms.get(form));
            if let Some(id) = earlier
                && let Some(invoice) = tenant.invoices.iter().find(|it| it.id == *id)
            {
                return Ok(invoice.clone());
            }
            if tenant.invoices.len() >= MAX_INVOICES {
                return Err(Full);
            }
            let last = tenant.invoices.last().map(|it| it.number);
            let invoice = Invoice {
                id: Id::new(),
                number: last.map_or(FIRST_NUMBER, |number| number + 1),
                details,
                status: Status::Sent,
                created_by: author.person.to_owned(),
                created_at: author.now,
            };
            if let Some(form) = form {
                tenant.forms.insert(form, invoice.id.clone());
            }
            tenant.invoices.push(invoice.clone());
            tenant.tell(true, &invoice);
            Ok(invoice)
        })
    }

    /// Changes an invoice's status.
    ///
    /// # Errors
    ///
    /// Fails where the tenant does not have it, and where its status cannot become that.
    pub fn change(&self, tenant: &str, id: &str, next: Status) -> Result<Invoice, Unchanged> {
        self.with(tenant, |tenant| {
            let mut invoices = tenant.invoices.iter_mut();
            let found = invoices.find(|it| it.id.as_str() == id);
            let invoice = found.ok_or(Unchanged::Unknown)?;
            if !invoice.status.may_become(next) {
                return Err(Unchanged::Final);
            }
            invoice.status = next;
            let invoice = invoice.clone();
            tenant.tell(false, &invoice);
            Ok(invoice)
        })
    }

    /// Returns what happens to a tenant's invoices from now on.
    #[must_use]
    pub fn events(&self, tenant: &str) -> broadcast::Receiver<Event> {
        self.with(tenant, |it| it.events.subscribe())
    }

    /// Returns how many tenants and invoices there are.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let tenants = self.lock();
        let invoices = tenants.values().map(|tenant| tenant.invoices.len()).sum();
        (tenants.len(), invoices)
    }
}

impl Tenant {
    fn tell(&self, is_new: bool, invoice: &Invoice) {
        // That nobody listens is no failure.
        let _ = self.events.send(Event {
            is_new,
            invoice: invoice.clone(),
        });
    }
}

/// 2026-11-02T09:00:00Z, in milliseconds.
const SAMPLED_AT: u64 = 1_793_610_000_000;

fn samples() -> Vec<Invoice> {
    let samples = [
        (
            Status::Paid,
            "Birch & Sons",
            "office@birch.example",
            "NET_7",
            "2026-11-09",
            "Repair of the loading ramp.",
            "1250.00",
        ),
        (
            Status::Sent,
            "Clara Conde",
            "clara@conde.example",
            "NET_30",
            "2026-12-02",
            "Consulting in October, 12 hours.",
            "1440.00",
        ),
        (
            Status::Sent,
            "Delta Dairy",
            "accounts@delta.example",
            "DUE_ON_RECEIPT",
            "2026-11-30",
            "Delivery of 40 crates.",
            "386.50",
        ),
    ];
    let typed =
        samples
            .into_iter()
            .filter_map(|(status, name, email, terms, due, message, total)| {
                let typed = Typed {
                    customer_name: name.to_owned(),
                    customer_email: email.to_owned(),
                    terms: terms.to_owned(),
                    due_date: due.to_owned(),
                    message: message.to_owned(),
                    total_due: total.to_owned(),
                };
                Some((status, typed.check().ok()?))
            });
    let numbered = (FIRST_NUMBER..).zip(typed);
    let invoice = |(number, (status, details))| Invoice {
        id: Id::new(),
        number,
        details,
        status,
        created_by: "sample".to_owned(),
        created_at: SAMPLED_AT,
    };
    numbered.map(invoice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details() -> Details {
        samples().remove(0).details
    }

    fn author<'a>(tenant: &'a str, person: &'a str) -> Author<'a> {
        let now = 1;
        Author {
            tenant,
            person,
            now,
        }
    }

    #[test]
    fn the_three_samples_are_there_and_numbered() {
        let book = Book::new(true);
        let numbers: Vec<u32> = book.all("acme").iter().map(|it| it.number).collect();
        assert_eq!(numbers, [1_003, 1_002, 1_001]);
        assert_eq!(Book::new(false).all("acme"), []);
    }

    /// K121
    #[test]
    fn tenants_have_their_own_numbers_and_do_not_see_each_other() {
        let book = Book::new(false);
        let acme = book.add(&author("acme", "ann"), details(), None).unwrap();
        let globex = book.add(&author("globex", "gus"), details(), None).unwrap();
        assert_eq!((acme.number, globex.number), (1_001, 1_001));
        assert_eq!(book.find("globex", acme.id.as_str()), None);
        let changed = book.change("globex", acme.id.as_str(), Status::Paid);
        assert_eq!(changed, Err(Unchanged::Unknown));
        assert_eq!(book.find("acme", acme.id.as_str()), Some(acme));
    }

    /// K126
    #[test]
    fn the_same_form_of_the_same_person_is_one_invoice() {
        let book = Book::new(false);
        let key = Id::new();
        let add = |tenant, person| {
            let form = Some(key.clone());
            book.add(&author(tenant, person), details(), form).unwrap()
        };
        let first = add("acme", "ann");
        assert_eq!(add("acme", "ann"), first);
        assert_ne!(add("acme", "bob").id, first.id);
        assert_ne!(add("globex", "ann").id, first.id);
        assert_eq!(book.all("acme").len(), 2);
    }

    #[test]
    fn a_tenant_has_a_thousand_invoices_at_most() {
        let book = Book::new(false);
        let key = Id::new();
        let form = Some(key.clone());
        let first = book.add(&author("acme", "ann"), details(), form).unwrap();
        for _ in 1..MAX_INVOICES {
            book.add(&author("acme", "ann"), details(), None).unwrap();
        }
        assert_eq!(book.add(&author("acme", "ann"), details(), None), Err(Full));
        // What was written already is found all the same.
        let again = book.add(&author("acme", "ann"), details(), Some(key));
        assert_eq!(again, Ok(first));
        assert!(book.add(&author("globex", "gus"), details(), None).is_ok());
    }

    #[tokio::test]
    async fn what_happens_is_told_to_the_tenant_alone() {
        let book = Book::new(false);
        let (mut acme, mut globex) = (book.events("acme"), book.events("globex"));
        let invoice = book.add(&author("acme", "ann"), details(), None).unwrap();
        book.change("acme", invoice.id.as_str(), Status::Cancelled)
            .unwrap();
        assert!(acme.recv().await.unwrap().is_new);
        let changed = acme.recv().await.unwrap();
        assert_eq!(
            (changed.is_new, changed.invoice.status),
            (false, Status::Cancelled)
        );
        assert!(globex.try_recv().is_err());
    }
}
