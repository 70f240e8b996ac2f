//! Certificates that are not what they should be, on a host or in the operator's hands.

use super::{Course, EXE, Fault, here, root_on};

pub const WRONG_CA: Fault = Fault {
    name: "wrong CA on the host",
    strike: |lab, at| {
        let script = "set -e; systemctl show -P MainPID etcd >/run/fault-pid; mkdir -p /etc/ssl/etcd; cd /etc/ssl/etcd; \
            [ ! -e ca.pem ] || cp -a ca.pem /run/fault-ca.pem; \
            openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -out /run/wrong-ca.pem -subj '/CN=another CA' \
            -days 30 2>/dev/null; cat /run/wrong-ca.pem >ca.pem";
        root_on(lab, at.own, script);
    },
    // Put back, or taken away if none was there; one that was started with it is started again, as it is told to be.
    heal: |lab, at| {
        let script = "cd /etc/ssl/etcd || exit 0; if [ -e /run/fault-ca.pem ]; then cat /run/fault-ca.pem >ca.pem; \
            elif cmp -s ca.pem /run/wrong-ca.pem; then rm ca.pem; cd ..; rmdir etcd; fi 2>/dev/null; rm -f /run/*-ca.pem; \
            [ $(systemctl show -P MainPID etcd) = $(cat /run/fault-pid) ] || systemctl restart --no-block etcd";
        root_on(lab, at.own, script);
    },
    course: Course::Lurks,
    // On the way back other certificates may have been issued since: what is on the host is not held against them, and
    // the gate after the restart sees it.
    stops: &[("file-changed", "ca.pem"), ("gate", "ca.pem"), ("gate", "signed by unknown authority")],
};

/// The pair that is given has expired.
pub const EXPIRED: Fault = Fault {
    name: "expired certificate given",
    strike: |lab, at| {
        // rcgen and our own `issue` make none that has.
        let script = format!(
            "set -e; cd pki; cp server{0}.pem kept.pem; openssl req -new -key server{0}-key.pem -subj /CN=server{0} -out s.csr; \
             printf 'subjectAltName=IP:{1},IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' >ext; : >index; echo 77 >serial; \
             printf '[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=.\ndatabase=index\nserial=serial\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n' >c.cnf; \
             openssl ca -batch -config c.cnf -cert ca.pem -keyfile ca-key.pem -in s.csr -out server{0}.pem -notext -extfile ext \
             -startdate 20240101000000Z -enddate 20240201000000Z 2>/dev/null; rm -f s.csr ext index* serial* c.cnf 4D.pem 77.pem",
            at.own,
            lab.address(at.own)
        );
        here(lab, &script);
    },
    heal: |lab, at| here(lab, &format!("mv pki/kept.pem pki/server{}.pem", at.own)),
    course: Course::Given,
    // On the way back they are not given to anybody any more: members are spoken to with them.
    stops: &[("certificate-refused", "expired"), ("gate", "certificate would be refused: EP012")],
};

/// The pair that is given is another CA's.
pub const OTHERS_PAIR: Fault = Fault {
    name: "another CA's certificate given",
    strike: |lab, at| {
        let script = format!(
            "set -e; cp pki/server{0}.pem kept.pem; cp pki/server{0}-key.pem kept-key.pem; {EXE} init-ca --pki-dir other -q; \
             {EXE} issue server{0} --ip {1} --pki-dir other -q; cp other/server{0}.pem other/server{0}-key.pem pki/; rm -r other",
            at.own,
            lab.address(at.own)
        );
        here(lab, &script);
    },
    heal: |lab, at| {
        here(lab, &format!("mv kept.pem pki/server{0}.pem; mv kept-key.pem pki/server{0}-key.pem", at.own));
    },
    course: Course::Given,
    stops: &[("certificate-refused", "did not sign it"), ("gate", "did not sign it")],
};
