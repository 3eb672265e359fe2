//! Tokens for `OAUTHBEARER`.

use std::ffi::{CString, c_char, c_void};

use rdkafka::bindings as sys;

use super::{Callbacks, ErrorText};
use crate::broker::kafka::access::Token;

/// librdkafka asks for a token: at a client's start, when four fifths of the last one's time are over, and ten seconds after
/// it got none. It is called on the client's background thread.
pub(super) unsafe extern "C" fn on_refresh(client: *mut sys::rd_kafka_t, _config: *const c_char, opaque: *mut c_void) {
    // SAFETY: the opaque pointer is the client's Callbacks.
    let callbacks = unsafe { &*opaque.cast::<Callbacks>() };
    let token =
        callbacks.tokens.as_ref().map_or_else(|| Err("there is no source of tokens".to_owned()), |it| it.token());
    if let Err(why) = token.and_then(|token| show(client, token)) {
        let why = CString::new(why.replace('\0', " ")).unwrap_or_default();
        // SAFETY: the handle is alive since it calls us; the text is copied.
        unsafe { sys::rd_kafka_oauthbearer_set_token_failure(client, why.as_ptr()) };
    }
}

fn show(client: *mut sys::rd_kafka_t, token: Token) -> Result<(), String> {
    let text =
        |what: &str, text: String| CString::new(text).map_err(|_| format!("the token's {what} holds a NUL byte"));
    let (value, principal) = (text("value", token.value)?, text("principal", token.principal)?);
    let mut refused = ErrorText::default();
    // SAFETY: the handle is alive since it calls us; texts are copied, there are no extensions, the buffer is as long as said.
    let code = unsafe {
        sys::rd_kafka_oauthbearer_set_token(
            client,
            value.as_ptr(),
            token.expires.millis(),
            principal.as_ptr(),
            std::ptr::null_mut(),
            0,
            refused.as_mut_ptr(),
            refused.len(),
        )
    };
    // librdkafka's words may quote what it refuses.
    if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        Ok(())
    } else {
        Err("librdkafka refuses the token's form".into())
    }
}
