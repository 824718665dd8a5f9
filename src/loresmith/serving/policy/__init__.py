"""Who may do what: Cedar policies over principals, actions, resources and the labels that the ledger inherited."""
