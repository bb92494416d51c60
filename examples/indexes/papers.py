"""The papers of a made-up shop: what each says, and a question that it answers."""

from __future__ import annotations

PAPERS = {
    "returns": ("Unwanted goods may be sent back within 30 days of delivery.", "how many days may goods that I bought be sent back"),
    "warranty": ("A broken kettle or toaster is repaired free of charge for two years.", "my kettle is broken, is that repaired"),
    "invoices": ("Companies pay an invoice within fourteen days.", "when must companies pay their invoice"),
    "vouchers": ("A summer voucher takes five euros off any order.", "do you have a voucher for the summer"),
    "parking": ("Visitors leave their cars behind the warehouse.", "where do visitors park cars"),
    "opening": ("The store is open from nine to six, and closed on Sunday.", "is the store open on Sunday"),
    "shipping": ("Parcels to Norway arrive in five working days.", "when do parcels arrive in Norway"),
    "tracking": ("Each shipment has a number by which it can be followed online.", "can a shipment be followed by its number"),
    "damage": ("A crushed box is to be photographed before it is unpacked.", "the box came crushed, what now"),
    "gifts": ("Presents are wrapped in paper for two euros.", "could presents be wrapped for a birthday"),
    "exchange": ("Trousers and shirts of a wrong size are swapped at no cost.", "my trousers have the wrong size"),
    "privacy": ("Addresses of customers are erased after ten years.", "are customers' addresses erased"),
    "newsletter": ("Each newsletter has a link that ends the subscription.", "how do I end the newsletter subscription"),
    "password": ("A forgotten password is set anew by a link in an email.", "I have forgotten my password"),
    "jobs": ("Applications are read by the personnel office every Tuesday.", "who reads job applications"),
    "batteries": ("Empty batteries are taken back at the counter and recycled.", "are old batteries recycled"),
    "assembly": ("Furniture is put together at home by two craftsmen.", "does somebody put furniture together"),
    "cancel": ("An order may be cancelled until it has left the warehouse.", "may I have an order cancelled"),
    "customs": ("Duties of countries outside the union are paid by the buyer.", "who pays customs duties"),
    "cards": ("Credit cards are charged when the goods are shipped.", "when is my credit card charged"),
    "pets": ("Dogs are welcome in the store if they are kept on a leash.", "are dogs welcome"),
    "spare": ("Spare parts of a coffee machine can be ordered for ten years.", "I need spare parts for a coffee machine"),
    "student": ("Students have a tenth off when they show their card.", "is it cheaper for students"),
    "complaints": ("Complaints are answered by the ombudsman within a week.", "who answers complaints"),
}  # fmt: skip
