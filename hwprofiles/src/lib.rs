//! Detection of the machine's MCS class and the capacity that it carries.
